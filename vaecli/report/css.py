"""How a page looks: light and dark, wide and narrow, on a screen and on paper."""

from __future__ import annotations

from vaecli.report.html import Html

STYLE = Html(
    """
:root{--paper:#fff;--ink:#1b1f24;--soft:#5b6470;--line:#dfe3e8;--normal:#9aa4b1;--here:#2f6db3;
--odd:#c8461b;--oddpaper:#fcefe9;--okay:#2e7d4f;color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{--paper:#14171b;--ink:#e8eaed;--soft:#a0a9b4;--line:#333a43;
--normal:#6d7885;--here:#74aeea;--odd:#ff8f5e;--oddpaper:#33211a;--okay:#6cc391}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,sans-serif;overflow-wrap:anywhere}
main{max-width:66rem;margin:0 auto;padding:2.5rem 1.5rem 4rem}
h1{font-size:clamp(1.5rem,1.05rem + 1.9vw,2.3rem);line-height:1.2;letter-spacing:-.015em;margin:.3rem 0 .9rem;
max-width:50rem;text-wrap:balance}
h2{font-size:1.25rem;line-height:1.3;margin:0 0 .25rem;letter-spacing:-.005em}
h3{font-size:.95rem;line-height:1.35;margin:0;font-weight:600}
p{margin:.4rem 0;max-width:46rem}
section{margin-top:3rem;padding-top:1.4rem;border-top:1px solid var(--line)}
.from{color:var(--soft);font-size:.875rem;margin:0}
.lead{font-size:1.06rem}
.mark{display:inline-block;width:.62em;height:.62em;border-radius:50%;margin-right:.45em;background:var(--okay)}
.string mark{background:var(--odd);color:var(--paper,#fff);border-radius:.15em;padding:0 .1em}
.mark.odd{background:var(--odd)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:1px;background:var(--line);
border:1px solid var(--line);border-radius:8px;overflow:hidden;margin:1.6rem 0 0;padding:0}
.figures div{background:var(--paper);padding:.75rem 1rem}
.figures dt{color:var(--soft);font-size:.8125rem}
.figures dd{margin:0;font-size:1.45rem;line-height:1.25;font-variant-numeric:tabular-nums;letter-spacing:-.01em}
.figures small{display:block;color:var(--soft);font-size:.8125rem;letter-spacing:0;line-height:1.35}
.warning{border-left:3px solid var(--odd);background:var(--oddpaper);padding:.6rem .9rem;margin:1rem 0 0;
border-radius:0 6px 6px 0;max-width:none;font-size:.9375rem}
table{border-collapse:collapse;width:100%;font-size:.9375rem}
th,td{text-align:left;vertical-align:top;padding:.5rem .9rem .5rem 0;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:500;font-size:.8125rem;white-space:nowrap}
.worst td:first-child,.worst td:nth-child(2),.worst td:nth-child(3){white-space:nowrap;
font-variant-numeric:tabular-nums}
.worst.incidents td:nth-child(3){white-space:normal}
.worst{margin-top:.9rem}
.worst ol{margin:0;padding:0;list-style:none}
.worst li+li{margin-top:.15rem;color:var(--soft)}
.nats{color:var(--soft);font-size:.8125rem;white-space:nowrap}
.name{font-weight:600}
figure{margin:1rem 0 0}
figcaption{color:var(--soft);font-size:.875rem;margin-top:.6rem;max-width:46rem}
.plot{display:grid;grid-template-columns:3.1rem minmax(0,1fr);grid-template-rows:1.3rem 15rem 1.5rem;font-size:.75rem;
color:var(--soft);font-variant-numeric:tabular-nums;line-height:1}
.plot .unit{grid-area:1/1/2/3;place-self:start}
.plot .beside{grid-area:2/1/3/2;position:relative}
.plot .beside span{position:absolute;right:.5rem;transform:translateY(50%);white-space:nowrap}
.plot .box{grid-area:2/2/3/3;position:relative;border-bottom:1px solid var(--normal)}
.plot .box svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}
.plot .below{grid-area:3/2/4/3;position:relative}
.plot .below span{position:absolute;top:.45rem;white-space:nowrap;transform:translateX(-50%)}
.plot .below .first{transform:none}
.plot .below .last{transform:translateX(-100%)}
.plot.small{grid-template-columns:0 minmax(0,1fr);grid-template-rows:.3rem 5.5rem 1.5rem}
.plot.map{grid-template-columns:0 minmax(0,1fr);grid-template-rows:1.3rem 24rem 1.5rem}
.plot.map .box{border:1px solid var(--line);overflow:hidden}
.plot.low{grid-template-rows:1.3rem 11rem 1.5rem}.plot.sensor{grid-template-rows:.3rem 6.5rem 1.5rem}
svg path,svg line{fill:none;vector-effect:non-scaling-stroke;stroke-linejoin:round}
svg .grid{stroke:var(--line);stroke-width:1}
svg .limit{stroke:var(--ink);stroke-width:1.25;stroke-dasharray:4 3}
svg .outline{stroke:var(--ink);stroke-width:1.5;opacity:.75}
svg .before{fill:var(--normal);opacity:.45}
svg .after{stroke:var(--here);stroke-width:1.75}
svg .curve{stroke:var(--here);stroke-width:2}
svg .here{fill:var(--here);opacity:.85}svg .odd{fill:var(--odd)}svg .normal{fill:var(--normal)}

svg .event{fill:var(--odd);opacity:.13}svg .band{fill:var(--okay);stroke:var(--okay);opacity:.16}
svg .ribbon{stroke-width:1.25}svg .scores,svg .readings{fill:var(--here);stroke:var(--here)}
svg .uprights{fill:none;stroke:var(--odd);stroke-width:2;stroke-linecap:round}
svg .dots{fill:none;stroke-linecap:round;stroke-width:4.5}
svg .dots.training{stroke:var(--normal);opacity:.3;stroke-width:7}
svg .dots.here{stroke:var(--here);opacity:.55;fill:none}
svg .dots.odd{stroke:var(--odd);opacity:.8;stroke-width:6;fill:none}
svg .dots.kept{stroke:var(--odd);stroke-width:9}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;font-size:.8125rem;color:var(--soft);margin:.2rem 0 .5rem}
.key{display:inline-block;width:.75em;height:.75em;border-radius:2px;margin-right:.45em;background:var(--here)}
.key.odd{background:var(--odd)}.key.event{background:var(--odd);opacity:.25}
.key.band{background:var(--okay);opacity:.35}.key.normal{background:var(--normal)}
.key.before{background:var(--normal);opacity:.5}
.key.training{background:var(--normal);opacity:.45;border-radius:50%}.key.dot{border-radius:50%}
.key.odd.dot{border-radius:50%}
.key.line{height:0;background:none;border-top:2px solid var(--ink);width:1.1em;vertical-align:.25em;border-radius:0}
.key.blue{border-top-color:var(--here)}
.key.limit{height:0;background:none;border-top:2px dashed var(--ink);width:1.1em;vertical-align:.25em;border-radius:0}
.bar{display:grid;grid-template:"name meter value"/minmax(6rem,14rem) minmax(0,1fr) 9rem;gap:0 .9rem;
align-items:center;font-size:.9375rem;padding:.2rem 0}
.bar .name{grid-area:name}.bar .meter{grid-area:meter}
.bar .value{grid-area:value;color:var(--soft);font-size:.8125rem;font-variant-numeric:tabular-nums;text-align:right}
.meter{display:block;width:100%;height:.85rem}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,18.5rem),1fr));gap:1.6rem 2rem;
margin-top:1rem}
.card{min-width:0}
.card p{font-size:.8125rem;color:var(--soft);margin:.1rem 0 .35rem;line-height:1.4}
.twins{display:grid;grid-template-columns:minmax(0,7rem) minmax(0,1fr) auto;gap:.3rem .6rem;font-size:.8125rem;
align-items:center}
.twins .meter{height:.4rem}.twins .meter+.meter{margin-top:.1rem}
.twins .value{color:var(--soft);text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.bar .ways{grid-column:1/-1;color:var(--soft);font-size:.8125rem}
.events{margin-top:.9rem;overflow-x:auto}.events ol{margin:0;padding:0;list-style:none}
.events td{font-variant-numeric:tabular-nums;overflow-wrap:normal}.events td:not(:last-child){min-width:3.5rem}
.events td bdi{overflow-wrap:anywhere}.events details{margin-top:.2rem;font-size:.875rem}
.event-detail{margin:1.2rem 0 1.8rem;break-inside:avoid}
.wall{display:flex;flex-wrap:wrap;gap:1.1rem 1.7rem;margin:.6rem 0 1.6rem;--dot:1px}
.wall figure{margin:0;min-width:7rem;display:grid;grid-template-columns:repeat(3,max-content);gap:.35rem}
.wall img{display:block;width:calc(var(--w)*var(--dot));height:calc(var(--h)*var(--dot));
image-rendering:pixelated;outline:1px solid var(--line)}
.wall figcaption{grid-column:1/-1;margin:0;font-size:.8125rem;font-variant-numeric:tabular-nums}
.wall b{color:var(--ink);font-weight:600}
p+h3{margin-top:1.2rem}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));gap:1rem 2.5rem}
details{margin-top:.8rem}summary{cursor:pointer;color:var(--here)}
.settings{font-size:.875rem}.settings td:first-child{width:16rem;color:var(--soft)}
footer{margin-top:3rem;color:var(--soft);font-size:.8125rem}
@media (max-width:40rem){main{padding:1.5rem 1rem 3rem}section{margin-top:2.2rem}
.figures{grid-template-columns:1fr 1fr}.figures div{padding:.6rem .75rem}.figures dd{font-size:1.2rem}
.figures div:last-child:nth-child(odd){grid-column:1/-1}
.plot{grid-template-columns:2.7rem minmax(0,1fr)}.plot .below .spare{display:none}
.plot.map{grid-template-rows:1.3rem 19rem 1.5rem}
.bar{grid-template:"name value" "meter meter"/minmax(0,1fr) auto}
.worst table,.worst tbody,.worst tr{display:block}.worst thead{display:none}
.worst tr{border-bottom:1px solid var(--line);padding:.6rem 0;display:grid;grid-template-columns:auto auto 1fr;
gap:.1rem 1rem}
.worst td{display:block;border:0;padding:0}.worst td:nth-child(4){grid-column:1/-1}
.worst td[data-label]::before{content:attr(data-label);display:block;color:var(--soft);font-size:.75rem}
.settings td:first-child{width:45%}
.wall{gap:.9rem 1rem;--dot:.75px}.wall figure{gap:.25rem}}
@media print{:root{--paper:#fff;--ink:#000;--soft:#444;--line:#ccc;--normal:#999;--here:#2f6db3;
--odd:#c8461b;
--oddpaper:#fff}
body{font-size:11pt}main{max-width:none;padding:0}figure,.card,tr{break-inside:avoid}h2{break-after:avoid}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""
)
