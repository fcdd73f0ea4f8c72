/** Where the nodes are: the node that served the page wrote it into the page, so that it is known even if that node dies. */

export interface NodePlace {
  id: string;
  /** Without a slash at its end; of the node that served the page it is the page's own. */
  origin: string;
}

export interface ClusterPlace {
  name: string;
  /** The node that served the page. */
  servedBy: string;
  /** In the configuration's order. */
  nodes: NodePlace[];
}

interface Written {
  cluster_name: string;
  node_id: string;
  nodes: NodePlace[];
}

/** Reads what stands in the page. */
export function readPlace(written: string, ownOrigin: string): ClusterPlace {
  const { cluster_name: name, node_id: servedBy, nodes } = JSON.parse(written) as Written;
  return {
    name,
    servedBy,
    nodes: nodes.map(({ id, origin }) => ({ id, origin: id === servedBy ? ownOrigin : origin })),
  };
}

export function placeOfPage(): ClusterPlace {
  const written = document.querySelector<HTMLMetaElement>('meta[name=steg-cluster]')?.content ?? '';
  return readPlace(written, location.origin);
}
