/** Approve, or ask for changes: a sheet with one button, and what became of it in words. */

import { type Remark, element } from "./case";
import type { Mark } from "./case";
import type { Sending } from "./sending";
import { words } from "./words";

type Decision = "approved" | "changes";

interface Hooks {
  /** The version that is looked at. */
  version(): number;
  attached(): readonly Mark[];
  /** The words of a comment that has not been sent: whoever decides now means them too. */
  words(): string;
  /** With the words that were taken from the comment. */
  sent(remark: Remark, taken: string): void;
}

/** What says on the page how it was decided. */
export type TellDecision = (kind: Decision) => void;

export function connectDecision(sending: Sending, hooks: Hooks): TellDecision {
  const state = document.querySelector<HTMLElement>(".decide-state");
  if (!state) return () => {};
  const taken = { approved: "", changes: "" };
  for (const kind of ["approved", "changes"] as const) {
    const sheet = element<HTMLDialogElement>(`#decide-${kind}`);
    element(`[data-decide="${kind}"]`).addEventListener("click", () => {
      element(".sheet-problem", sheet).textContent = "";
      for (const place of sheet.querySelectorAll(".version-number")) {
        place.textContent = String(hooks.version());
      }
      const text = element<HTMLTextAreaElement>("textarea", sheet);
      taken[kind] = text.value ? "" : hooks.words();
      text.value ||= taken[kind];
      sheet.showModal();
    });
    element<HTMLFormElement>("form", sheet).addEventListener("submit", (event) => {
      event.preventDefault();
      void decide(kind, sheet);
    });
  }

  return tell;

  function tell(kind: Decision): void {
    state!.textContent = words.decided[kind];
  }

  async function decide(kind: Decision, sheet: HTMLDialogElement): Promise<void> {
    const problem = element(".sheet-problem", sheet);
    const press = element<HTMLButtonElement>("button[type=submit]", sheet);
    const text = element<HTMLTextAreaElement>("textarea", sheet);
    const boxes = [...sheet.querySelectorAll<HTMLInputElement>("input:checked")];
    problem.textContent = "";
    press.disabled = true;
    const answer = await sending.send({
      kind,
      version: hooks.version(),
      text: text.value.trim(),
      reasons: boxes.map(({ value }) => value),
      marks: hooks.attached(),
    });
    press.disabled = false;
    if (!answer.ok) {
      problem.textContent = answer.sentence;
      return;
    }
    if (answer.value.remark.kind !== kind) {
      problem.textContent = words.serverTrouble;
      return;
    }
    text.value = "";
    for (const box of boxes) box.checked = false;
    sheet.close();
    tell(kind);
    hooks.sent(answer.value.remark, taken[kind]);
  }
}

/** A sheet closes by its button, by Esc, and by a tap beside it where that loses nothing. */
export function connectSheets(): void {
  for (const sheet of document.querySelectorAll<HTMLDialogElement>("dialog.sheet")) {
    for (const close of sheet.querySelectorAll("[data-close]")) {
      close.addEventListener("click", () => sheet.close());
    }
    sheet.addEventListener("click", (event) => {
      if (event.target === sheet && sheet.id !== "snapshot") sheet.close();
    });
  }
}
