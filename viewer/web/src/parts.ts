/** The scans of the case: each with its mesh on the stage and its rows in the lists of its versions. */

import {
  BufferAttribute,
  BufferGeometry,
  LineBasicMaterial,
  LineSegments,
  type Material,
  Mesh,
  type Plane,
  Vector3,
} from "three";
import type { MeshLambertMaterial } from "three";
import { type Detail, type Scan, type Version, element } from "./case";
import { colour, depthMaterial, scanMaterial, swatch } from "./material";
import type { Ray, Stage } from "./stage";
import type { Surface } from "./surfaces";
import { words } from "./words";

/** How all scans are looked at. */
interface Look {
  colours: boolean;
  wire: boolean;
  /** What lies on its far side is not drawn; in the patient's frame. */
  plane: Plane | undefined;
}

/** Where a ray meets a scan, in the scans' own coordinates. */
interface Meeting {
  readonly part: Part;
  readonly point: Vector3;
  readonly triangle: number;
  /** Out of the surface, towards the viewer. */
  readonly normal: Vector3;
}

export class Part {
  /** As the version that is shown knows it: its number and its maps are that version's. */
  scan: Scan;
  /** What the visitor wants; a view may still lay the part aside for as long as it lasts. */
  wanted = true;
  aside = false;
  /** Whether the version that is shown holds it. */
  present = false;
  detail: "none" | Detail = "none";
  /** A few hundred points of the surface in the patient's frame: enough to fit and to compare heights. */
  points: Vector3[] = [];
  /** The finest surface there is. */
  surface?: Surface | undefined;
  private coarse?: Surface | undefined;
  private mesh?: Mesh;
  private veil?: Mesh;
  private lines?: LineSegments | undefined;
  private paint?: BufferAttribute | undefined;
  /** 1 hides all behind it, 0 would hide itself. */
  opaque = 1;

  constructor(
    scan: Scan,
    private readonly stage: Stage,
    private readonly look: Look,
  ) {
    this.scan = scan;
  }

  get visible(): boolean {
    return this.present && this.wanted && !this.aside;
  }

  get height(): number {
    return this.points.reduce((sum, { y }) => sum + y, 0) / (this.points.length || 1);
  }

  /** Puts a surface on the stage, in place of a coarser one. */
  show(surface: Surface, detail: Detail): void {
    if (detail === "preview") this.coarse = surface;
    else if (this.surface !== this.coarse) this.surface?.dispose();
    this.surface = surface;
    if (!this.mesh) {
      this.mesh = new Mesh(surface.geometry, scanMaterial(this.scan.role));
      this.veil = new Mesh(surface.geometry, depthMaterial());
      this.stage.jaws.add(this.veil, this.mesh);
    }
    this.detail = detail;
    this.stage.jaws.updateMatrixWorld(true);
    this.points = sample(surface).map((point) => this.stage.toWorld(point));
    this.repaint();
  }

  /** Lets go of all detail; the part can be brought again. */
  drop(): void {
    this.unwire();
    this.surface?.dispose();
    this.coarse?.dispose();
    for (const mesh of [this.mesh, this.veil]) {
      mesh?.removeFromParent();
      (mesh?.material as Material | undefined)?.dispose();
    }
    this.surface = this.coarse = undefined;
    delete this.mesh;
    delete this.veil;
    this.paint = undefined;
    this.detail = "none";
  }

  setOpacity(opacity: number): void {
    this.opaque = opacity;
    this.appear();
  }

  /** Shows one colour a vertex of full detail, such as a map's, instead of the scan's own; or those again. */
  setPaint(colours?: Uint8Array): void {
    this.paint = colours && new BufferAttribute(colours, 4, true);
    this.repaint();
  }

  /** Makes the surface agree with how all are looked at. */
  repaint(): void {
    if (!this.mesh || !this.surface) return;
    const { surface, paint } = this;
    const painted = paint && this.detail === "full" ? paint : undefined;
    const own = this.look.colours ? surface.colours : undefined;
    const shown = painted ?? own;
    if (shown) surface.geometry.setAttribute("color", shown);
    else surface.geometry.deleteAttribute("color");
    const texture = this.look.colours && !painted ? surface.texture : undefined;
    colour(this.mesh.material as MeshLambertMaterial, this.scan.role, {
      texture,
      vertices: shown !== undefined,
      map: painted !== undefined,
    });
    this.rewire();
    this.appear();
  }

  /** Makes the stage agree with what is wanted of this part. */
  appear(): void {
    if (!this.mesh || !this.veil) return;
    const material = this.mesh.material as MeshLambertMaterial;
    const seeThrough = this.opaque < 1;
    if (material.transparent !== seeThrough) material.needsUpdate = true;
    material.transparent = seeThrough;
    material.opacity = this.opaque;
    this.mesh.visible = this.visible;
    this.veil.visible = this.visible && seeThrough;
    if (this.lines) this.lines.visible = this.visible;
    const planes = this.look.plane ? [this.look.plane] : [];
    for (const one of [this.mesh, this.veil, this.lines]) {
      if (one) (one.material as Material).clippingPlanes = planes;
    }
    this.stage.requestFrame();
  }

  /** Draws a coarser surface while things move, where there is one and nothing is lost that is read. */
  lighten(moving: boolean): void {
    if (!this.mesh || !this.veil || !this.surface) return;
    const light = moving && this.coarse && !this.paint && !this.lines;
    const { geometry } = light ? this.coarse! : this.surface;
    this.mesh.geometry = this.veil.geometry = geometry;
  }

  /** See-through parts are drawn from the farthest to the nearest, each after its own depth. */
  drawAfter(order: number): void {
    if (this.mesh) this.mesh.renderOrder = order * 2 + 1;
    if (this.veil) this.veil.renderOrder = order * 2;
  }

  meet(ray: Ray, after = 0): Meeting | undefined {
    const { surface } = this;
    const { plane } = this.look;
    const accept = plane && ((distance: number) => this.isKept(plane, ray, distance));
    const hit = surface?.hit(ray.from.toArray(), ray.along.toArray(), after, accept);
    if (!surface || !hit) return undefined;
    const normal = normalOf(surface, hit.triangle);
    if (normal.dot(ray.along) > 0) normal.negate();
    const point = ray.along.clone().multiplyScalar(hit.distance).add(ray.from);
    return { part: this, point, triangle: hit.triangle, normal };
  }

  /** The line in which a plane cuts the part, in pairs of points. */
  cut(normal: readonly [number, number, number], constant: number): Float32Array {
    return this.surface?.section(normal, constant) ?? new Float32Array();
  }

  private isKept(plane: Plane, { from, along }: Ray, distance: number): boolean {
    const point = this.stage.toWorld(along.clone().multiplyScalar(distance).add(from));
    return plane.distanceToPoint(point) >= 0;
  }

  private rewire(): void {
    this.unwire();
    if (!this.look.wire || !this.surface) return;
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", this.surface.geometry.getAttribute("position"));
    geometry.setIndex(new BufferAttribute(edges(this.surface.corners), 1));
    const ink = new LineBasicMaterial({ color: 0x14202b, transparent: true, opacity: 0.35 });
    this.lines = new LineSegments(geometry, ink);
    this.lines.renderOrder = 100;
    this.stage.jaws.add(this.lines);
  }

  private unwire(): void {
    this.lines?.removeFromParent();
    this.lines?.geometry.dispose();
    (this.lines?.material as Material | undefined)?.dispose();
    this.lines = undefined;
  }
}

export class Parts {
  readonly look: Look = { colours: true, wire: false, plane: undefined };
  /** All that is in any version; a scan that a later version shows again is one part. */
  readonly every: readonly Part[];
  private readonly ofVersion = new Map<number, ReadonlyMap<Part, Scan>>();
  private readonly rows: Row[] = [];
  private readonly listeners: (() => void)[] = [];

  constructor(
    versions: readonly Version[],
    stage: Stage,
  ) {
    const known = new Map<string, Part>();
    for (const { number, scans } of versions) {
      const parts = new Map<Part, Scan>();
      for (const scan of scans) {
        const part = known.get(scan.home) ?? new Part(scan, stage, this.look);
        known.set(scan.home, part);
        parts.set(part, scan);
        this.rows.push(new Row(part, number, scan, () => this.changed()));
      }
      this.ofVersion.set(number, parts);
    }
    this.every = [...known.values()];
    stage.subject = {
      points: () => this.seen().flatMap(({ points }) => points),
      meet: (ray) => this.meet(ray)?.point,
      arrange: (towardsViewer, moving) => this.arrange(towardsViewer, moving),
    };
  }

  /** The parts of the version that is shown. */
  get all(): readonly Part[] {
    return this.every.filter(({ present }) => present);
  }

  /** Shows one version's parts, and no other's. */
  present(version: number): void {
    const scans = this.ofVersion.get(version);
    for (const part of this.every) {
      const scan = scans?.get(part);
      part.present = scan !== undefined;
      if (scan) part.scan = scan;
    }
    this.changed();
  }

  onChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** Lays these parts aside for a view, and brings back what the last view laid aside. */
  layAside(parts: readonly Part[]): void {
    for (const part of this.every) part.aside = parts.includes(part);
    this.changed();
  }

  showAll(): void {
    for (const part of this.all) part.wanted = true;
    this.layAside([]);
  }

  /** The numbers of the scans that are shown. */
  get shown(): readonly number[] {
    return this.all.filter(({ visible }) => visible).map(({ scan }) => scan.n);
  }

  show(numbers: readonly number[]): void {
    for (const part of this.all) part.wanted = numbers.includes(part.scan.n);
    this.layAside([]);
  }

  repaint(): void {
    for (const part of this.every) part.repaint();
  }

  /** What is seen under a ray: the nearest of the parts that are shown. */
  meet(ray: Ray, after = 0): Meeting | undefined {
    const met = this.every
      .filter(({ visible }) => visible)
      .flatMap((part) => part.meet(ray, after) ?? []);
    const distance = ({ point }: Meeting) => point.distanceToSquared(ray.from);
    return met.sort((one, other) => distance(one) - distance(other))[0];
  }

  private changed(): void {
    for (const part of this.every) part.appear();
    for (const row of this.rows) row.tell();
    for (const listener of this.listeners) listener();
  }

  private seen(): readonly Part[] {
    const visible = this.every.filter((part) => part.visible && part.points.length);
    return visible.length ? visible : this.all.filter((part) => part.points.length);
  }

  private arrange(towards: Vector3, moving: boolean): void {
    const nearness = (part: Part) =>
      part.points.reduce((sum, point) => sum + point.dot(towards), 0) / (part.points.length || 1);
    const order = this.all.map((part) => ({ part, near: nearness(part) }));
    order.sort((one, other) => one.near - other.near);
    order.forEach(({ part }, place) => {
      part.drawAfter(place);
      part.lighten(moving);
    });
  }
}

/** A part's line in the list of a version: its show button and its opacity. */
class Row {
  private readonly toggle: HTMLButtonElement;
  private readonly state: HTMLElement;
  private readonly slider: HTMLInputElement;

  constructor(
    private readonly part: Part,
    version: number,
    { n, role, colours }: Scan,
    changed: () => void,
  ) {
    const row = element(`[data-of="${version}"] [data-part="${n}"]`);
    this.toggle = element<HTMLButtonElement>(".part-toggle", row);
    this.state = element(".part-state", row);
    this.slider = element<HTMLInputElement>("input[type=range]", row);
    const output = element<HTMLOutputElement>("output", row);
    element(".part-swatch", row).style.background = swatch(role, colours);

    this.toggle.addEventListener("click", () => {
      part.wanted = !part.visible;
      part.aside = false;
      changed();
    });
    this.slider.addEventListener("input", () => {
      output.value = `${this.slider.value} %`;
      part.setOpacity(this.slider.valueAsNumber / 100);
    });
    // A browser may keep the slider's place over a reload.
    this.slider.value = "100";
  }

  tell(): void {
    this.slider.valueAsNumber = Math.round(this.part.opaque * 100);
    this.toggle.setAttribute("aria-pressed", String(this.part.visible));
    this.state.textContent = this.part.visible ? words.shown : words.hidden;
  }
}

const samples = 600;

/** Points spread over the surface, with its outermost in every axis among them. */
function sample({ positions }: Surface): Vector3[] {
  const count = positions.length / 3;
  const step = Math.max(1, Math.floor(count / samples));
  const chosen = new Set<number>();
  for (let axis = 0; axis < 3; axis++) {
    let least = 0;
    let most = 0;
    for (let i = 1; i < count; i++) {
      const value = positions[i * 3 + axis]!;
      if (value < positions[least * 3 + axis]!) least = i;
      if (value > positions[most * 3 + axis]!) most = i;
    }
    chosen.add(least).add(most);
  }
  for (let i = 0; i < count; i += step) chosen.add(i);
  return [...chosen].map((i) => new Vector3().fromArray(positions, i * 3));
}

/** Each edge between two triangles once; of the border's, those that run upwards. */
function edges(corners: Uint32Array): Uint32Array {
  const found = new Uint32Array(corners.length * 2);
  let count = 0;
  for (let i = 0; i < corners.length; i += 3) {
    for (let side = 0; side < 3; side++) {
      const one = corners[i + side]!;
      const other = corners[i + ((side + 1) % 3)]!;
      if (one > other) continue;
      found[count++] = one;
      found[count++] = other;
    }
  }
  return found.slice(0, count);
}

function normalOf({ positions, corners }: Surface, triangle: number): Vector3 {
  const [a, b, c] = [0, 1, 2].map((corner) =>
    new Vector3().fromArray(positions, corners[triangle * 3 + corner]! * 3),
  ) as [Vector3, Vector3, Vector3];
  return b.sub(a).cross(c.sub(a)).normalize();
}
