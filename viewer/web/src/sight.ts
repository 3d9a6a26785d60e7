/** How the scans are seen, to be kept with a remark and found again by whoever reads it. */

import { Vector3 } from "three";
import type { SavedView } from "./case";
import type { Parts } from "./parts";
import type { Section } from "./section";
import type { Stage } from "./stage";
import type { Tools } from "./tools";

export class Sight {
  constructor(
    private readonly stage: Stage,
    private readonly parts: Parts,
    private readonly section: Section,
    private readonly tools: Tools,
  ) {}

  get view(): SavedView {
    const { azimuth, polar, zoom, target } = this.stage.goal();
    const { x, y, z } = target;
    const across = this.shorterSide / zoom;
    return { azimuth, polar, across, x, y, z, shown: this.parts.shown, cut: this.section.cut };
  }

  /** Cuts before the camera moves: a section opens where it is seen from. */
  show({ azimuth, polar, across, x, y, z, shown, cut }: SavedView): void {
    if (shown.length) this.parts.show(shown);
    if ((cut !== null) !== this.tools.isOn(this.section)) this.tools.toggle(this.section);
    if (cut) this.section.cutAt(cut);
    const zoom = this.shorterSide / across;
    this.stage.stand({ azimuth, polar, zoom, target: new Vector3(x, y, z) });
  }

  /** Of the picture, in pixels: what was seen on a phone fills a large screen too. */
  private get shorterSide(): number {
    return Math.min(this.stage.size.width, this.stage.size.height);
  }
}
