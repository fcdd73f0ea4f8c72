/** The shapes of the API, as the nodes' own OpenAPI document has them. */
export type {
  AccessAnswer,
  CapacityAnswer,
  ClusterEvent,
  HistoryAnswer,
  NodeStatus,
  SettingAnswer,
  SettingsAnswer,
  StatusAnswer,
  TransferAnswer,
} from './schema';
