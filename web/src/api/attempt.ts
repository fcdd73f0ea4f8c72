/** One request to one node. XMLHttpRequest, because fetch does not tell how far an upload is. */

export interface Request {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  headers?: Record<string, string>;
  body?: FormData | Uint8Array<ArrayBuffer> | string;
}

export interface Answer {
  /** The node that gave it. */
  node: string;
  status: number;
  header: (name: string) => string | null;
  bytes: ArrayBuffer;
  /** The same as a blob, made when it is first asked for: a browser keeps blobs longer than bytes, and not many GB of them. */
  readonly body: Blob;
}

export interface Progress {
  /** Bytes of the body that were sent, and of how many. */
  sent: number;
  total: number;
}

/** Nobody answered: the node cannot be reached, or it was given up. */
export class Unanswered extends Error {
  constructor(
    message: string,
    /** Whether the node may have got all of the request, and done what it asks. */
    readonly mayBeDone: boolean,
  ) {
    super(message);
  }
}

export interface Running {
  answer: Promise<Answer>;
  /** Ends it; the promise then is rejected. */
  giveUp: () => void;
}

export function attempt(
  node: { id: string; origin: string },
  request: Request,
  onProgress?: (progress: Progress) => void,
): Running {
  const call = new XMLHttpRequest();
  // A request without a body tells nothing about its way.
  let mayBeDone = request.body === undefined;
  const answer = new Promise<Answer>((resolve, reject) => {
    call.open(request.method, node.origin + request.path);
    call.responseType = 'arraybuffer';
    for (const [name, value] of Object.entries(request.headers ?? {})) call.setRequestHeader(name, value);
    // To listen to an upload makes a browser ask first whether it may (CORS): only where there is one.
    if (request.body !== undefined) {
      call.upload.onprogress = (event) => onProgress?.({ sent: event.loaded, total: event.total });
      call.upload.onload = () => (mayBeDone = true);
    }
    call.onload = () => resolve(answerOf(node.id, call));
    call.onerror = () => reject(new Unanswered(`${node.id} cannot be reached`, mayBeDone));
    call.onabort = () => reject(new Unanswered(`${node.id} was given up`, mayBeDone));
    call.send(request.body ?? null);
  });
  return { answer, giveUp: () => call.abort() };
}

function answerOf(node: string, call: XMLHttpRequest): Answer {
  const bytes = call.response as ArrayBuffer;
  let blob: Blob | null = null;
  return {
    node,
    status: call.status,
    header: (name) => call.getResponseHeader(name),
    bytes,
    get body() {
      return (blob ??= new Blob([bytes], { type: call.getResponseHeader('content-type') ?? '' }));
    },
  };
}
