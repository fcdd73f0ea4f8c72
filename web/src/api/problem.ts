/** Why a call failed: a problem document (RFC 9457), or that no node answered at all. */

import { RETRY, type Retry } from './retry';

/** Members of a problem document; the others carry figures, which `detail` names too. */
interface ProblemDocument {
  title: string;
  status: number;
  detail: string;
  code: string;
  request_id?: string;
}

/** Codes of the console's own, where no node gave a reason. */
export type OwnCode = 'file_changed' | 'no_node_answers' | 'not_well' | 'outcome_unknown' | 'stopped' | 'strange_answer' | 'too_slow';

export class Problem extends Error {
  readonly code: string;
  readonly title: string;
  /** 0 where no node answered. */
  readonly status: number;
  readonly requestId: string | null;

  constructor(document: ProblemDocument) {
    const { code, title, status, detail, request_id } = document;
    super(detail);
    this.name = 'Problem';
    this.code = code;
    this.title = title;
    this.status = status;
    this.requestId = request_id ?? null;
  }

  static own(code: OwnCode, title: string, detail: string): Problem {
    return new Problem({ code, title, status: 0, detail });
  }

  /** From the body of an answer that is not a success. */
  static async read(status: number, body: Blob): Promise<Problem> {
    try {
      const document = JSON.parse(await body.text()) as ProblemDocument;
      if (typeof document.code === 'string' && typeof document.detail === 'string') return new Problem(document);
    } catch {
      // Not a node of ours; told below.
    }
    return Problem.own('strange_answer', 'The answer cannot be understood', `the status ${status} without a problem document`);
  }
}

/** What helps against a problem that a node answered with; of codes of a newer release the status tells. */
export function retryOf(code: string, status: number): Retry {
  return RETRY[code] ?? (status === 503 ? 'elsewhere' : status === 429 ? 'later' : 'never');
}

/** Anything that was thrown, as a problem. */
export function asProblem(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  const detail = thrown instanceof Error ? thrown.message : String(thrown);
  return Problem.own('strange_answer', 'The console failed', detail);
}
