// One PATCH of the draft over REST, and its problem document as the saver reads it.

import type { Answer, Transport } from "./saver";

const LIMIT_MS = 10_000;

type Problem = {
  detail?: string;
  fields?: Record<string, string>;
  conflicts?: Record<string, { by: string; removed: boolean }>;
  version?: number;
};

export function transport(url: string): Transport {
  return async (body, version) => {
    let answer: Response;
    try {
      answer = await fetch(url, {
        method: "PATCH",
        body,
        headers: {
          "Content-Type": "application/json",
          "If-Match": `"${version}"`,
          "X-CSRFToken": token(),
        },
        signal: AbortSignal.timeout(LIMIT_MS),
      });
    } catch {
      return { kind: "unreached", problem: "The server does not answer.", again: true };
    }
    const held = (await answer.json().catch(() => ({}))) as Problem;
    return read(answer.status, held);
  };
}

function read(status: number, held: Problem): Answer {
  if (status === 200) return { kind: "saved", version: held.version ?? 0 };
  const problem = held.detail ?? `The server answered ${status}.`;
  if (status === 412 && held.conflicts && held.version !== undefined) {
    return { kind: "stale", version: held.version, conflicts: held.conflicts };
  }
  if (status === 401 || status === 403) {
    return { kind: "unreached", problem: `${problem} Sign in again in another tab.`, again: true };
  }
  if (status >= 500 || status === 408 || status === 429) {
    return { kind: "unreached", problem, again: true };
  }
  return { kind: "refused", problem, fields: held.fields ?? {} };
}

// The page's own token; after a sign-in in another tab the cookie has a newer one, which the
// server accepts as well, because the page's is only a mask of it.
export function token(): string {
  const cookie = /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie)?.[1];
  return (
    cookie ?? document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content ?? ""
  );
}
