/**
 * The standard views, as a dentist names them, and their buttons.
 *
 * Left and right are the patient's; in every view but Back and the sides the patient's left is on the
 * picture's right, as on a tooth chart. Upper and Lower look onto the biting side of that jaw: what would
 * cover it is laid aside and comes back with the next view.
 */

import { element } from "./case";
import { type Jaw, covering } from "./jaws";
import type { Parts } from "./parts";
import { type Direction, axes } from "./pose";
import type { Stage } from "./stage";

interface View extends Direction {
  readonly jaw?: Jaw;
}

const quarter = Math.PI / 2;

export const viewNames = ["Front", "Back", "Left", "Right", "Upper", "Lower"] as const;
type ViewName = (typeof viewNames)[number];

const views: Record<ViewName, View> = {
  Front: { azimuth: 0, polar: quarter },
  Back: { azimuth: 2 * quarter, polar: quarter },
  Left: { azimuth: quarter, polar: quarter },
  Right: { azimuth: -quarter, polar: quarter },
  Upper: { azimuth: 0, polar: 2 * quarter, jaw: "upper" },
  Lower: { azimuth: 0, polar: 0, jaw: "lower" },
};

export class Views {
  /** The view that was chosen last; what it laid aside stays aside until the next. */
  chosen: ViewName = "Front";
  private readonly buttons = new Map<ViewName, HTMLButtonElement>();

  constructor(
    private readonly stage: Stage,
    private readonly parts: Parts,
  ) {
    for (const name of viewNames) {
      const button = element<HTMLButtonElement>(`[data-view="${name.toLowerCase()}"]`);
      button.addEventListener("click", () => this.choose(name));
      this.buttons.set(name, button);
    }
    element("[data-view=fit]").addEventListener("click", () => stage.fit());
    stage.onFrame(() => this.tell());
  }

  choose(name: ViewName, animate = true): void {
    const { jaw, ...direction } = views[name];
    this.chosen = name;
    this.parts.layAside(jaw ? covering(jaw, this.parts.all) : []);
    this.stage.fit(direction, animate);
  }

  /** A view's button is pressed while the camera stands there, or is on its way. */
  private tell(): void {
    const here = axes(this.stage.goal()).back;
    for (const [name, button] of this.buttons) {
      const pressed = name === this.chosen && axes(views[name]).back.angleTo(here) < 0.01;
      button.setAttribute("aria-pressed", String(pressed));
    }
  }
}
