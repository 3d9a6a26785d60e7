/** A remark on its way: the words, what was measured, how the scans are seen, and the picture of that. */

import { type Case, type Mark, type Remark, type SavedView } from "./case";
import { type Answer, post } from "./post";
import type { Snapshot } from "./snapshot";

export interface Draft {
  readonly kind: Remark["kind"];
  readonly version: number;
  readonly text: string;
  readonly reasons?: readonly string[];
  readonly marks: readonly Mark[];
}

export class Sending {
  /** Of each kind the same until a remark has arrived: whoever presses twice says it once. */
  private readonly once = { comment: newName(), approved: newName(), changes: newName() };

  constructor(
    private readonly shared: Case,
    /** How the scans are seen just now; nothing where none are. */
    private readonly view: (() => SavedView) | undefined,
    private readonly snapshot: Snapshot | undefined,
  ) {}

  async send(draft: Draft): Promise<Answer<{ remark: Remark }>> {
    const form = new FormData();
    form.set("kind", draft.kind);
    form.set("version", String(draft.version));
    form.set("text", draft.text);
    form.set("marks", JSON.stringify(draft.marks));
    form.set("once", this.once[draft.kind]);
    for (const reason of draft.reasons ?? []) form.append("reason", reason);
    if (this.view) form.set("view", JSON.stringify(this.view()));
    if (this.snapshot?.drawn) form.set("drawn", "1");
    const picture = await this.snapshot?.picture();
    if (picture) form.set("picture", picture, "seen.png");
    const answer = await post<{ remark: Remark }>(this.shared.say, form);
    if (answer.ok) {
      this.once[draft.kind] = newName();
      this.snapshot?.forget();
    }
    return answer;
  }
}

/** 26 letters of base32, as the server names things. */
function newName(): string {
  const letters = "abcdefghijklmnopqrstuvwxyz234567";
  const numbers = crypto.getRandomValues(new Uint8Array(26));
  return [...numbers].map((number) => letters[number % 32]).join("");
}
