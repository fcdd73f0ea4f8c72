/** The shapes of the API, as the nodes' own OpenAPI document has them. */
export type {
  Access as AccessAnswer,
  CapacityAnswer,
  ClusterEvent,
  History as HistoryAnswer,
  LeaderTransfer as TransferAnswer,
  NodeStatus,
  Change as ChangeAnswer,
  Setting as SettingAnswer,
  SettingsPage as SettingsAnswer,
  StatusAnswer,
} from './schema';
