/**
 * The stage: canvas, light, and a camera that takes poses. It draws only when asked to, and knows nothing
 * of cases. Everything that others say to it or ask of it is in the scans' own coordinates, or in pixels
 * of the picture from its upper left corner.
 */

import {
  DirectionalLight,
  Group,
  HemisphereLight,
  MathUtils,
  OrthographicCamera,
  PerspectiveCamera,
  Scene,
  Vector3,
} from "three";
import { Easel } from "./easel";
import {
  type Direction,
  type Pose,
  between,
  fitting,
  moved,
  orientation,
  place,
  placeDeep,
  turned,
  zoomed,
} from "./pose";

export interface Ray {
  readonly from: Vector3;
  readonly along: Vector3;
}

/** A place in the picture, in pixels from its upper left corner. */
export interface Spot {
  readonly x: number;
  readonly y: number;
}

interface Subject {
  /** The points that "Fit" must bring into the picture, in the world. */
  points(): Vector3[];
  /** Where a ray meets the nearest visible scan, if it does. */
  meet(ray: Ray): Vector3 | undefined;
  /** Puts itself in order before a frame: seen from that side, and lighter while things move. */
  arrange(towardsViewer: Vector3, moving: boolean): void;
}

const margin = 1.1;
const flightMilliseconds = 150;
/** After the last movement, until the picture is drawn in full again. */
const restAfter = 160;
/** Milliseconds between two frames of a movement, from which on it is drawn with less detail. */
const slowFrame = 70;
/** Millimetres from the target to the camera, and from there on again: more than any scan's size. */
const distance = 1000;

export class Stage {
  readonly canvas: HTMLCanvasElement;
  /** Holds the scans, in their own coordinates; its rotation brings them into the patient's frame. */
  readonly jaws = new Group();
  /** With true lengths, or with depth: what is far looks smaller. */
  deep = false;

  /** What is to be seen; the scans put themselves here. */
  subject: Subject = { points: () => [], meet: () => undefined, arrange: () => {} };

  private readonly calm = matchMedia("(prefers-reduced-motion: reduce)");
  private readonly easel = new Easel();
  private readonly scene = new Scene();
  private readonly flat = new OrthographicCamera();
  private readonly eye = new PerspectiveCamera();
  /** Turns with the camera, and its light with it. */
  private readonly rig = new Group();
  private readonly sky = new HemisphereLight(0xffffff, 0xcfc8c0, 1.75);
  private readonly frameListeners: ((drawn: Stage) => void)[] = [];
  private nextFrameListeners: (() => void)[] = [];
  private waiting = 0;
  private movedAt = -Infinity;
  private drawnAt = -Infinity;
  private resting: ReturnType<typeof setTimeout> | undefined;
  /** Nothing has moved or changed for a while: the next frame may take its time. */
  private rested = false;
  /** This device takes too long for all the detail there is to be moved smoothly. */
  private slow = false;

  private pose: Pose = { azimuth: 0, polar: Math.PI / 2, target: new Vector3(), zoom: 1 };
  private flight?: { readonly from: Pose; readonly to: Pose; readonly began: number } | undefined;
  private fitZoom = 1;
  /** Whether the picture still shows the whole subject, as no hand has moved it since. */
  private fitted = true;
  /** Whether the target lies on the surface in the middle of the picture. */
  private anchored = true;

  /** Throws when the browser has no WebGL. */
  constructor(private readonly holder: HTMLElement) {
    this.canvas = this.easel.canvas;
    this.canvas.addEventListener("webglcontextrestored", () => this.requestFrame());
    this.lightFromAboveLeft();
    this.scene.add(this.jaws, this.rig, this.sky);
    holder.append(this.canvas);
    new ResizeObserver(() => this.resize()).observe(holder);
    this.resize();
  }

  /** Draws once, soon. However often it is asked, one frame is drawn. */
  requestFrame(): void {
    this.waiting ||= requestAnimationFrame((now) => this.drawFrame(now));
  }

  afterNextFrame(once: () => void): void {
    this.nextFrameListeners.push(once);
    this.requestFrame();
  }

  onFrame(listener: (drawn: Stage) => void): void {
    this.frameListeners.push(listener);
  }

  /** Brings the subject into the picture, from a direction or from where the camera stands. */
  fit(to: Direction = this.goal(), animate = true): void {
    const points = this.subject.points();
    if (!points.length) return;
    const { clientWidth, clientHeight } = this.holder;
    const { azimuth, polar } = to;
    const pose = fitting(points, { azimuth, polar }, clientWidth / margin, clientHeight / margin);
    this.fitZoom = pose.zoom;
    this.fitted = this.anchored = true;
    this.take(pose, animate, animate);
  }

  /** Fits again after more has come, unless a hand has already chosen what to see. */
  refit(): void {
    if (this.fitted) this.fit(this.goal(), false);
    this.requestFrame();
  }

  /** A hand takes hold: whatever moved stands still under it. */
  grasp(): void {
    this.flight = undefined;
  }

  /** Turns with a drag of so many pixels: half a turn across the shorter side. */
  turn(right: number, down: number, animate = false): void {
    const { clientWidth, clientHeight } = this.holder;
    const radians = Math.PI / Math.min(clientWidth, clientHeight);
    this.anchor();
    this.fitted = false;
    this.take(turned(this.goal(), -right * radians, -down * radians), animate);
  }

  move(right: number, down: number, animate = false): void {
    this.fitted = this.anchored = false;
    this.take(moved(this.goal(), right, down), animate);
  }

  /** Zooms about a point, in pixels right of and below the middle. */
  zoom(factor: number, right = 0, down = 0, animate = false): void {
    const goal = this.goal();
    const zoom = MathUtils.clamp(goal.zoom * factor, this.fitZoom / 4, Math.max(this.fitZoom * 40, 100));
    this.fitted = this.anchored = false;
    this.take(zoomed(goal, zoom, right, down), animate);
  }

  /** Shows the subject with depth, or with true lengths again. */
  setDepth(deep: boolean): void {
    this.deep = deep;
    this.requestFrame();
  }

  /** Takes a pose that was taken before, such as the one a remark was made in. */
  stand(pose: Pose, animate = true): void {
    this.fitted = false;
    this.anchored = true;
    this.take(pose, animate);
  }

  /** Looks along a direction, given in the scans' own coordinates, at a point there. */
  face(towardsViewer: Vector3, at: Vector3): void {
    const back = towardsViewer.clone().applyQuaternion(this.jaws.quaternion).normalize();
    const polar = Math.acos(MathUtils.clamp(back.y, -1, 1));
    const azimuth = Math.hypot(back.x, back.z) < 1e-6 ? 0 : Math.atan2(back.x, back.z);
    this.stand({ azimuth, polar, target: this.toWorld(at), zoom: this.goal().zoom });
  }

  /** The ray under a spot of the picture. */
  ray({ x, y }: Spot): Ray {
    this.placeCamera();
    const { clientWidth, clientHeight } = this.holder;
    const right = (x / clientWidth) * 2 - 1;
    const up = 1 - (y / clientHeight) * 2;
    const from = new Vector3(right, up, -1).unproject(this.camera);
    const to = new Vector3(right, up, 1).unproject(this.camera);
    const back = this.jaws.quaternion.clone().invert();
    return {
      from: from.applyQuaternion(back),
      along: to.applyQuaternion(back).sub(from).normalize(),
    };
  }

  /** Where a point of the scans stands in the picture; `depth` grows away from the viewer. */
  spot(point: Vector3): Spot & { readonly depth: number } {
    const { clientWidth, clientHeight } = this.holder;
    const seen = this.toWorld(point).project(this.camera);
    return { x: ((seen.x + 1) / 2) * clientWidth, y: ((1 - seen.y) / 2) * clientHeight, depth: seen.z };
  }

  /** A point of the scans' own coordinates, in the patient's frame. */
  toWorld(point: Vector3): Vector3 {
    return point.clone().applyQuaternion(this.jaws.quaternion);
  }

  get size(): { readonly width: number; readonly height: number } {
    return { width: this.holder.clientWidth, height: this.holder.clientHeight };
  }

  get pixelsPerMillimetre(): number {
    return this.pose.zoom;
  }

  /** The picture as it stands, in the pixels of the canvas: drawn anew, since WebGL keeps none. */
  capture(): HTMLCanvasElement {
    this.draw(false, true);
    const copy = document.createElement("canvas");
    copy.width = this.canvas.width;
    copy.height = this.canvas.height;
    copy.getContext("2d")!.drawImage(this.canvas, 0, 0);
    return copy;
  }

  /** How the camera stands, or is about to. */
  goal(): Pose {
    return this.flight?.to ?? this.pose;
  }

  /** The unit vector from the target to the camera, in the scans' own coordinates. */
  viewpoint(): Vector3 {
    const towards = new Vector3(0, 0, 1).applyQuaternion(orientation(this.pose));
    return towards.applyQuaternion(this.jaws.quaternion.clone().invert());
  }

  /** What nobody sees moving, such as the first picture, is drawn in full at once. */
  private take(pose: Pose, animate: boolean, moves = true): void {
    if (animate && !this.calm.matches) {
      this.flight = { from: this.pose, to: pose, began: performance.now() };
    } else {
      this.flight = undefined;
      this.pose = pose;
    }
    if (moves) this.movedAt = performance.now();
    this.requestFrame();
  }

  private get camera(): OrthographicCamera | PerspectiveCamera {
    return this.deep ? this.eye : this.flat;
  }

  private drawFrame(now: number): void {
    this.waiting = 0;
    this.fly(now);
    const moving = now - this.movedAt < restAfter || this.flight !== undefined;
    const since = now - this.drawnAt;
    if (moving && since > slowFrame && since < restAfter * 4) this.slow = true;
    this.drawnAt = now;
    const light = moving && this.slow;
    const rough = light || (this.easel.isLaborious && !this.rested);
    this.rested = false;
    this.draw(light, !rough);
    for (const listener of this.frameListeners) listener(this);
    for (const listener of this.nextFrameListeners.splice(0)) listener();
    if (this.flight) this.requestFrame();
    clearTimeout(this.resting);
    if (rough) this.resting = setTimeout(() => this.rest(), restAfter);
  }

  private rest(): void {
    this.rested = true;
    this.requestFrame();
  }

  private draw(light: boolean, fine: boolean): void {
    this.placeCamera();
    const { quaternion } = this.camera;
    this.rig.quaternion.copy(quaternion);
    this.sky.position.set(0, 1, 0).applyQuaternion(quaternion);
    this.subject.arrange(new Vector3(0, 0, 1).applyQuaternion(quaternion), light);
    this.easel.draw(this.scene, this.camera, fine);
  }

  private placeCamera(): void {
    place(this.flat, this.pose, distance);
    placeDeep(this.eye, this.pose, this.holder.clientHeight);
  }

  private fly(now: number): void {
    if (!this.flight) return;
    const { from, to, began } = this.flight;
    const part = MathUtils.clamp((now - began) / flightMilliseconds, 0, 1);
    this.pose = between(from, to, 1 - (1 - part) ** 3);
    if (part === 1) this.flight = undefined;
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.holder;
    if (!width || !height) return;
    this.easel.resize(width, height);
    this.flat.left = -width / 2;
    this.flat.right = width / 2;
    this.flat.top = height / 2;
    this.flat.bottom = -height / 2;
    this.eye.aspect = width / height;
    this.refit();
  }

  /**
   * After a move or a zoom, puts the target onto the surface in the middle of the picture, so that a tooth
   * that was brought there stays there while it is turned. Along the line of sight this moves no pixel.
   */
  private anchor(): void {
    if (this.anchored || this.flight) return;
    this.anchored = true;
    const { width, height } = this.size;
    const met = this.subject.meet(this.ray({ x: width / 2, y: height / 2 }));
    if (met) this.pose = { ...this.pose, target: this.toWorld(met) };
  }

  private lightFromAboveLeft(): void {
    const head = new DirectionalLight(0xffffff, 2);
    head.position.set(-0.7, 0.7, 1);
    this.rig.add(head, head.target);
  }
}
