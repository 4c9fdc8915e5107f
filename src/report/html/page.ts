/**
 * The report as one HTML file that needs nothing else: no network, no script. Charts are drawn in; the analysis is
 * embedded as JSON for whoever wants to work on with the numbers.
 */

import type { Analysis } from '../../analysis/model.ts'
import { shellWord } from '../../core/shell-word.ts'
import { costsLegend } from '../costs.ts'
import { Footnotes } from '../footnotes.ts'
import {
  environmentSentence,
  factSentences,
  legendSentences,
  nothingToRank,
  rankingSentences,
  runSentence,
  tierSentence,
} from '../prose.ts'
import { ratioChart, summaryChart, timeChart } from './charts.ts'
import { escapeHtml, escapeJson } from './escape.ts'
import { style } from './style.ts'
import { renderSvg } from './svg.ts'
import { costTable, resultTable } from './tables.ts'

export async function renderHtml(analysis: Analysis): Promise<string> {
  const scenarios = [...new Set(analysis.groups.map(({ setting }) => setting.scenario))]
  const title = `Shootout: ${analysis.contenders.map(({ label }) => label).join(', ')}`
  const sections: string[] = []
  for (const scenario of scenarios) sections.push(await scenarioSection(analysis, scenario))
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>${escapeHtml(title)}</h1>
<p class="soft">${escapeHtml(runSentence(analysis))}</p>
<nav>${scenarios.map((scenario) => `<a href="#${anchor(scenario)}">${escapeHtml(scenario)}</a>`).join('')}<a href="#conditions">conditions</a></nav>
</header>
<main>
${await summarySection(analysis)}
${warningsSection(analysis)}
${sections.join('\n')}
${conditionsSection(analysis)}
</main>
<script type="application/json" id="analysis">${escapeJson(analysis)}</script>
</body>
</html>
`
}

async function summarySection(analysis: Analysis): Promise<string> {
  const sentences = rankingSentences(analysis)
  const [first = '', ...rest] = legendSentences(analysis)
  const legend = [`${first.charAt(0).toLowerCase()}${first.slice(1)}`, ...rest].join(' ')
  const list =
    sentences.length === 0
      ? `<p>${nothingToRank(analysis)}</p>`
      : `<dl>${sentences
          .map(({ scenario, sentence }) => `<dt>${escapeHtml(scenario)}</dt><dd>${escapeHtml(sentence)}</dd>`)
          .join('\n')}</dl>`
  const dagger = hasTiers(analysis) ? ` †: another durability than ${escapeHtml(analysis.reference)}.` : ''
  const chart = summaryChart(analysis)
  const figure =
    chart === undefined
      ? ''
      : `<figure>${await renderSvg(chart)}<figcaption>Geometric mean over the settings that all have, with ${strokesText(analysis)}: right of 1 slower, proven where the stroke does not reach it.</figcaption></figure>`
  return `<section>
<h2>Which is faster</h2>
<div class="charts answer">${list}${figure}</div>
<p class="soft">In parentheses: 95 % intervals; by setting: the smallest and the largest ratio of the single settings. Only contenders of equal durability are ranked:</p>
${bullets(analysis.summary.tiers.map(tierSentence), 'soft')}
<p class="soft">The numbers below: ${escapeHtml(legend)} Green: proven fastest of its durability tier.${dagger}</p>
</section>`
}

function warningsSection({ warnings }: Analysis): string {
  if (warnings.length === 0) return ''
  const heading = warnings.length === 1 ? 'Warning' : `${warnings.length} warnings`
  return `<aside><strong>${heading}</strong>${bullets(warnings.map(({ text, advice }) => `${text} ${advice}`))}</aside>`
}

async function scenarioSection(analysis: Analysis, scenario: string): Promise<string> {
  const groups = analysis.groups.filter(({ setting }) => setting.scenario === scenario)
  const footnotes = new Footnotes()
  const times = await renderSvg(timeChart(analysis, scenario, footnotes.numberOf))
  const strokes = strokesText(analysis)
  const ratios = ratioChart(analysis, scenario)
  const forest =
    ratios === undefined
      ? ''
      : `<figure>${await renderSvg(ratios)}<figcaption>Ratio of times to ${escapeHtml(analysis.reference)}, with ${strokes}.${hasTiers(analysis) ? ' Hollow: another durability.' : ''}</figcaption></figure>`
  const result = resultTable(groups, analysis, footnotes.numberOf)
  const notes =
    footnotes.texts.length === 0
      ? ''
      : `<ol class="soft">${footnotes.texts.map((text) => `<li>${escapeHtml(text)}</li>`).join('')}</ol>`
  return `<section id="${anchor(scenario)}">
<h2>${escapeHtml(scenario)}</h2>
<div class="charts">
<figure>${times}<figcaption>Time per operation, lower is better. Strokes: ${strokes}.</figcaption></figure>
${forest}
</div>
${notes}
<details open><summary>Numbers</summary>
${result}
</details>
<details><summary>What an operation cost</summary>
${costTable(groups)}
<p class="soft">${escapeHtml(costsLegend)}</p>
</details>
</section>`
}

function hasTiers({ summary }: Analysis): boolean {
  return summary.tiers.length > 1
}

function strokesText(analysis: Analysis): string {
  const isWhole = legendSentences(analysis).length === 1
  return isWhole ? '95 % intervals' : '95 % intervals, or the whole range where there are fewer than 6 forks'
}

function conditionsSection(analysis: Analysis): string {
  const lines = [runSentence(analysis), environmentSentence(analysis), ...factSentences(analysis)]
  return `<section id="conditions">
<h2>Conditions</h2>
${bullets(lines)}
<p class="soft">Made from <code>${escapeHtml(analysis.path)}</code>; again with <code>shootout report ${escapeHtml(shellWord(analysis.path))} --html report.html</code>. The numbers are in this page as JSON, in the element with the id <code>analysis</code>.</p>
</section>`
}

function bullets(lines: readonly string[], name = ''): string {
  const list = lines.map((line) => `<li>${escapeHtml(line)}</li>`).join('')
  return `<ul${name === '' ? '' : ` class="${name}"`}>${list}</ul>`
}

function anchor(scenario: string): string {
  return `scenario-${encodeURIComponent(scenario)}`
}
