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
  sent(remark: Remark): void;
}

export function connectDecision(sending: Sending, hooks: Hooks): void {
  const state = document.querySelector<HTMLElement>(".decide-state");
  if (!state) return;
  for (const kind of ["approved", "changes"] as const) {
    const sheet = element<HTMLDialogElement>(`#decide-${kind}`);
    element(`[data-decide="${kind}"]`).addEventListener("click", () => {
      element(".sheet-problem", sheet).textContent = "";
      for (const place of sheet.querySelectorAll(".version-number")) {
        place.textContent = String(hooks.version());
      }
      sheet.showModal();
    });
    element<HTMLFormElement>("form", sheet).addEventListener("submit", (event) => {
      event.preventDefault();
      void decide(kind, sheet);
    });
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
    state!.textContent = words.decided[kind];
    hooks.sent(answer.value.remark);
  }
}

/** A sheet closes by its button, by Esc, and by a tap beside it. */
export function connectSheets(): void {
  for (const sheet of document.querySelectorAll<HTMLDialogElement>("dialog.sheet")) {
    for (const close of sheet.querySelectorAll("[data-close]")) {
      close.addEventListener("click", () => sheet.close());
    }
    sheet.addEventListener("click", (event) => {
      if (event.target === sheet) sheet.close();
    });
  }
}
