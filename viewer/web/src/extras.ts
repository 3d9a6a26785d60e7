/** How all scans look, and what leads away from the page: depth, mesh lines, colours, paper, a phone. */

import { type Case, element } from "./case";
import { make } from "./dom";
import type { Parts } from "./parts";
import { post } from "./post";
import type { Stage } from "./stage";
import { words } from "./words";

/**
 * @param seen the picture as it stands, with all that lies over it, as paper takes it.
 */
export function connectExtras(
  shared: Case,
  stage: Stage,
  parts: Parts,
  seen: () => HTMLCanvasElement,
): void {
  toggle("colour", true, (on) => {
    parts.look.colours = on;
    parts.repaint();
  });
  toggle("wire", false, (on) => {
    parts.look.wire = on;
    parts.repaint();
  });
  toggle("perspective", false, (on) => {
    stage.setDepth(on);
    element(".scale").hidden = on; // there is no one scale where what is far looks smaller
  });
  if (!shared.versions.some(({ scans }) => scans.some(({ colours }) => colours))) {
    element('[data-look="colour"]').hidden = true;
  }
  connectPaper(seen);
  connectPhone(shared);
}

function toggle(name: string, on: boolean, run: (on: boolean) => void): void {
  const button = element(`[data-look="${name}"]`);
  let state = on;
  button.addEventListener("click", () => {
    state = !state;
    button.setAttribute("aria-pressed", String(state));
    run(state);
  });
}

/** Paper gets what is seen: a canvas may print empty, a picture does not. */
function connectPaper(seen: () => HTMLCanvasElement): void {
  const paper = make("img", { class: "paper", alt: "" });
  element(".stage").append(paper);
  addEventListener("beforeprint", () => {
    paper.src = seen().toDataURL("image/png");
  });
  element('[data-do="print"]').addEventListener("click", async () => {
    paper.src = seen().toDataURL("image/png");
    await paper.decode().catch(() => {});
    print();
  });
}

function connectPhone({ handover }: Case): void {
  const open = element('[data-do="phone"]');
  if (!handover) {
    open.hidden = true;
    return;
  }
  const sheet = element<HTMLDialogElement>("#phone");
  open.addEventListener("click", async () => {
    const place = element(".phone-code", sheet);
    place.replaceChildren();
    sheet.showModal();
    const answer = await post<{ svg: string }>(handover, new FormData());
    if (!answer.ok) {
      place.textContent = words.phoneTrouble;
      return;
    }
    const { body } = new DOMParser().parseFromString(answer.value.svg, "text/html");
    place.replaceChildren(...body.children);
  });
}
