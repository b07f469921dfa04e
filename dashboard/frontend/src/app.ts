// Every page's entry: the styles, htmx, and the elements.

import "./css/tokens.css";
import "./css/base.css";
import "./css/shell.css";
import "./css/components.css";
import "./css/diff.css";
import "./css/grid.css";
import "./css/editor.css";
import "./css/layers.css";
import "./css/matrix.css";
import "./css/schema.css";
import htmx from "htmx.org";
import * as editor from "./editor/editor";
import * as raw from "./editor/raw";
import * as asOf from "./grid/as-of";
import * as grid from "./grid/grid";
import * as part from "./live/part";
import * as root from "./live/root";
import * as small from "./ui/small";
import * as time from "./ui/time";

// Pages are pages: the browser's own history stays in charge.
htmx.config.history = false;

// The token stands in every form for pages without scripts; htmx sends it as a header as well.
document.addEventListener("htmx:config:request", (event) => {
  const { ctx } = (event as CustomEvent).detail;
  const token = document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content;
  if (token) ctx.request.headers["X-CSRFToken"] = token;
});

time.define();
part.define();
grid.define();
asOf.define();
editor.define();
raw.define();
small.define();
root.define(); // last, because it starts to hand out frames
