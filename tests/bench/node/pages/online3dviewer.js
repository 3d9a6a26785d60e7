// Online3DViewer's engine on the raw file, as its documentation embeds it.
import * as OV from "online-3d-viewer";

const holder = document.createElement("div");
holder.style.width = "100vw";
holder.style.height = "100vh";
document.body.append(holder);
const viewer = new OV.EmbeddedViewer(holder, {
  backgroundColor: new OV.RGBAColor(0, 0, 0, 255),
  defaultColor: new OV.RGBColor(232, 220, 200),
});
viewer.LoadModelFromUrlList([`${location.origin}/scan.stl`]);
