const drawn = [];

function draw(id, figure, alone) {
  let row = 0;
  const x = (figure.rows || []).map(d => figure.start + (row += d) * figure.step);
  for (const trace of figure.data) if (trace.x === undefined) trace.x = x;
  drawn.push([id, figure, alone]);
  show(id, figure, alone);
}

function show(id, figure, alone) {
  let text = JSON.stringify({data: figure.data, layout: figure.layout});
  if (dark.matches) text = text.replace(/#[0-9a-f]{6}/g, colour => DARK[colour] || colour);
  const {data, layout} = JSON.parse(text);
  const place = document.getElementById(id);
  place.style.height = "";
  if (narrow.matches) small(place, data, layout);
  Plotly.react(id, data, layout, {responsive: true, displaylogo: false, displayModeBar: alone && !narrow.matches,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"], toImageButtonOptions: {filename: id, scale: 2}});
}

// On a narrow screen: names go down the side, months below each other, legends below the plot in two columns.
function small(place, data, layout) {
  layout.margin = {...layout.margin, l: 66, r: 12};
  layout.font = {...layout.font, size: 11};
  const time = layout.xaxis && layout.xaxis.type === "date";
  if (time) layout.xaxis = {...layout.xaxis, tickangle: 0, nticks: 4, tickformat: "%b %y"};
  for (const trace of data) {
    if (trace.type === "waterfall") {
      [trace.x, trace.y] = [trace.y, trace.x.map(name => name.replaceAll("<br>", " "))];
      trace.orientation = "h";
      trace.textposition = "auto";
      trace.hovertemplate = trace.hovertemplate.replace("%{x}", "%{y}");
      const names = {...layout.xaxis, autorange: "reversed", automargin: true};
      layout.xaxis = {...layout.yaxis, nticks: 4, automargin: true};
      layout.yaxis = names;
      layout.margin = {...layout.margin, l: 10, r: 52, b: 50};
    }
    if (trace.type === "heatmap" && trace.text) {
      const turn = table => trace.x.map((_, column) => table.map(cells => cells[column]));
      [trace.z, trace.text] = [turn(trace.z), turn(trace.text)];
      [trace.x, trace.y] = [trace.y, trace.x];
      trace.textfont = {...trace.textfont, size: trace.x.length > 5 ? 8 : 11};
    }
    if (trace.type === "heatmap") trace.showscale = false;
  }
  const entries = data.filter(trace => trace.showlegend !== false).length;
  if (layout.showlegend !== false && entries > 1) {
    const rows = Math.ceil(entries / 2), below = 34 + 19 * rows, height = place.clientHeight || 360;
    layout.legend = {...layout.legend, y: -34 / (height - 24 - 34), yanchor: "top", entrywidth: 0.48,
      entrywidthmode: "fraction", font: {size: 11}};
    layout.margin = {...layout.margin, b: below, t: 12};
    place.style.height = height + 19 * rows + "px";
  } else if (time) layout.margin = {...layout.margin, b: 34};
}

for (const query of [dark, narrow]) query.addEventListener("change", () => drawn.forEach(one => show(...one)));
