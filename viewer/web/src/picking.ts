/**
 * What a tap means: a point of the surface; or, where a section is open, of the line that it cuts, which a
 * finger could never hit by itself.
 */

import type { Vector3 } from "three";
import type { Part, Parts } from "./parts";
import type { Section } from "./section";
import type { Spot, Stage } from "./stage";

export interface Picked {
  readonly point: Vector3;
  /** Out of the surface; there is none on a cut line. */
  readonly normal?: Vector3;
  readonly part?: Part;
  readonly triangle?: number;
}

export class Picking {
  constructor(
    private readonly stage: Stage,
    private readonly parts: Parts,
    private readonly section: Section,
  ) {}

  at(spot: Spot): Picked | undefined {
    const onCut = this.section.nearest(spot);
    if (onCut) return { point: onCut };
    return this.parts.meet(this.stage.ray(spot));
  }

  /** How thick the part is under a point: straight in, to where its surface comes out again. */
  through({ point, normal, part }: Picked): Vector3 | undefined {
    if (!normal || !part) return undefined;
    const along = normal.clone().negate();
    return part.meet({ from: point, along }, skin)?.point;
  }
}

/** Millimetres below the surface from which on the other side is looked for. */
const skin = 0.02;
