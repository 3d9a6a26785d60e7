/**
 * The review page, from its HTML to a picture that turns: read this first.
 *
 * The HTML is useful alone. This script adds the stage, lets the list and the tools act on it, and loads
 * the scans. How far it has come is said in `data-state` on the root element:
 * loading, preview, full, or failed when there is nothing to turn.
 */

import { type Case, element, readCase } from "./case";
import { patientRotation } from "./frame";
import { connectHands } from "./hands";
import { connectKeys } from "./keys";
import { Line } from "./line";
import { Loading } from "./loading";
import { Parts } from "./parts";
import { connectScale } from "./scale";
import { Stage } from "./stage";
import { Views } from "./views";
import { list, words } from "./words";

const root = document.documentElement;

function begin(shared: Case): void {
  root.dataset.state = "loading";
  const line = new Line();
  const stage = openStage();
  if (!stage || !shared.scans.length) {
    line.say("failure", shared.scans.length ? words.no3d : words.noScans);
    root.dataset.state = "failed";
    root.dataset.still = "";
    // A case of photos and documents has been seen when its page is.
    if (!shared.scans.length) void tellSeen(shared.seen);
    return;
  }
  stage.jaws.quaternion.copy(patientRotation(shared.frame));
  const { canvas } = stage;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", words.canvas(list(shared.scans.map(({ label }) => label))));

  const parts = new Parts(shared.scans, stage);
  const views = new Views(stage, parts);
  connectHands(stage);
  connectKeys(stage, views, element(".tools"));
  connectScale(stage);
  sayWhatIsHidden(parts, views, line);
  keepThroughContextLoss(canvas, line);
  canvas.addEventListener("focus", () => {
    // On a phone the sheet may lie over the picture that the keyboard has just reached.
    if (canvas.matches(":focus-visible")) scrollTo({ top: 0 });
  });
  stage.onFrame(() => {
    const { x, y, z } = stage.viewpoint();
    canvas.dataset.view = [x, y, z].map((value) => value.toFixed(7)).join(",");
  });

  let drawn = false;
  const loading = new Loading(parts, line, (state) => {
    if (state === "failed") {
      root.dataset.state = state;
      return;
    }
    if (!drawn) views.choose("Front", false);
    else stage.refit();
    stage.afterNextFrame(() => {
      root.dataset.state = state;
      if (drawn) return;
      drawn = true;
      canvas.classList.add("drawn");
      element(".poster").hidden = true;
      void tellSeen(shared.seen);
    });
  });
  void loading.start();
}

function openStage(): Stage | undefined {
  try {
    return new Stage(element(".stage"));
  } catch {
    return undefined;
  }
}

/** A person has seen a scan: this, and not the opening of the page, counts as a view. */
async function tellSeen(url: string): Promise<void> {
  try {
    await fetch(url, { method: "POST", credentials: "same-origin", keepalive: true });
  } catch {
    // The scan is on the screen; a lost count is no reason to disturb whoever looks at it.
  }
}

function sayWhatIsHidden(parts: Parts, views: Views, line: Line): void {
  const showAll = { label: words.showAll, run: () => parts.showAll() };
  parts.onChange(() => {
    const aside = parts.all.filter((part) => part.aside && part.wanted);
    if (!parts.all.some((part) => part.visible)) line.say("parts", words.allHidden, showAll);
    else if (aside.length) {
      const labels = list(aside.map(({ scan }) => scan.label));
      line.say("parts", words.hiddenByView(labels, views.chosen), showAll);
    } else line.hush("parts");
  });
}

function keepThroughContextLoss(canvas: HTMLCanvasElement, line: Line): void {
  canvas.addEventListener("webglcontextlost", () => line.say("picture", words.contextLost));
  canvas.addEventListener("webglcontextrestored", () => line.hush("picture"));
}

if (document.querySelector("#case")) begin(readCase());
