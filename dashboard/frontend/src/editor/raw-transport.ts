// A draft's text over REST, and its problem documents as the raw editor reads them.

import { token } from "./transport";

const LIMIT_MS = 20_000;

export type Versions = { version: number; draft: number };
export type Conflicts = Record<string, { by: string; removed: boolean; theirs: unknown }>;
export type Answer =
  | {
      kind: "saved";
      text: string;
      versions: Versions;
      changes: number;
      problem: { line: number; message: string } | null;
    }
  | { kind: "stale-keys"; draft: number; conflicts: Conflicts }
  | { kind: "stale-text"; version: number; draft: number; by: string; theirs: string }
  | { kind: "refused"; problem: string }
  | { kind: "unreached"; problem: string };

type Held = Versions & {
  text: string;
  changes: number;
  problem: { line: number; message: string } | null;
  detail?: string;
  conflicts?: Conflicts;
  by?: string;
  theirs?: string;
};

export async function put(url: string, body: unknown, seen: Versions): Promise<Answer> {
  return ask(url, {
    method: "PUT",
    body: JSON.stringify(body),
    headers: {
      "Content-Type": "application/json",
      "If-Match": `"${seen.version}.${seen.draft}"`,
      "X-CSRFToken": token(),
    },
  });
}

export async function get(url: string): Promise<Answer> {
  return ask(url, { headers: { "X-Part": "1" } });
}

async function ask(url: string, request: RequestInit): Promise<Answer> {
  let answer: Response;
  try {
    answer = await fetch(url, { ...request, signal: AbortSignal.timeout(LIMIT_MS) });
  } catch {
    return { kind: "unreached", problem: "The server does not answer." };
  }
  const held = (await answer.json().catch(() => ({}))) as Held;
  return read(answer.status, held);
}

function read(status: number, held: Held): Answer {
  if (status === 200) {
    const versions = { version: held.version, draft: held.draft };
    const { text, changes, problem } = held;
    return { kind: "saved", text, versions, changes, problem };
  }
  const problem = held.detail ?? `The server answered ${status}.`;
  if (status === 412 && held.conflicts) {
    return { kind: "stale-keys", draft: held.version, conflicts: held.conflicts };
  }
  if (status === 412 && held.theirs !== undefined) {
    const { version, draft, by, theirs } = held;
    return { kind: "stale-text", version, draft, by: by ?? "Somebody", theirs };
  }
  if (status === 401 || status === 403) {
    return { kind: "unreached", problem: `${problem} Sign in again in another tab.` };
  }
  if (status >= 500 || [408, 412, 429].includes(status)) return { kind: "unreached", problem };
  return { kind: "refused", problem };
}
