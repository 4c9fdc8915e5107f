/** The style sheet of the page: light and dark after the reader's system, and plain on paper. */

export const style = `
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #5d6570; --paper: #ffffff; --panel: #f5f6f8; --line: #d9dde3; --good: #1a7f37; --bad: #b42318; --warn: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #9aa4b0; --paper: #14171a; --panel: #1d2125; --line: #343a41; --good: #56c271; --bad: #ff8a7a; --warn: #e0b050; } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 92rem; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 1.7rem; margin: 0 }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; padding-top: .6rem; border-top: 1px solid var(--line) }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem }
p { margin: .4rem 0 } ul, ol { margin: .3rem 0; padding-left: 1.4rem }
.soft, figcaption { color: var(--soft); font-size: .87rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1rem; margin: .5rem 0 } dt { font-weight: 600 } dd { margin: 0 }
aside { background: var(--panel); border-left: 3px solid var(--warn); padding: .5rem .9rem; margin: .9rem 0; border-radius: 2px }
.charts { display: flex; flex-wrap: wrap; gap: 1.2rem 1.5rem; align-items: flex-start }
.answer dl { flex: 1 1 34rem } @media (max-width: 40rem) { dl { display: block } dd { margin-bottom: .5rem } }
figcaption { max-width: 28rem } figure { margin: .5rem 0; max-width: 100%; overflow-x: auto } figure svg { display: block }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; margin: .4rem 0 }
th, td { padding: .28rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; white-space: nowrap }
th { font-weight: 600 } th:first-child { position: sticky; left: 0; background: var(--paper) } tbody th { font-weight: normal } td.number, th.number { text-align: right } td .soft { display: block }
.fastest { color: var(--good); font-weight: 600 } .failed { color: var(--bad) } .none { color: var(--soft) }
details { margin: .5rem 0 } summary { cursor: pointer; color: var(--soft) }
code { font-size: .9em; background: var(--panel); padding: .1em .3em; border-radius: 3px }
nav a { margin-right: 1rem } a { color: inherit }
@page { margin: 1.5cm }
@media print { :root { color-scheme: light; --ink: #000; --soft: #444; --paper: #fff; --panel: #fff; --line: #bbb } body { padding: 0; max-width: none; font-size: 11px } nav { display: none } figure, tr, aside { break-inside: avoid } figure, .scroll { overflow: visible } figure svg { max-width: 100%; height: auto } h2, h3 { break-after: avoid } }
`
