/**
 * The operating characteristics of the gate, at full size: prints the tables of docs/statistics.md. Takes some minutes
 * of one core. On Node 20, TypeScript is compiled first:
 *
 *     npx tsc -p tsconfig.test.json --noEmit false --outDir .build/simulation
 *     node .build/simulation/scripts/simulate-gate.js [cell gates] [suites] [seed]
 */

import { noiseModels } from '../test/analysis/gate/noise-models.ts'
import { simulateCells, simulateSuites } from '../test/analysis/gate/simulate.ts'

const gates = Number(process.argv[2] ?? 20_000)
const suites = Number(process.argv[3] ?? 2000)
const seed = process.argv[4] ?? 'gate'

const percent = (share: number, digits = 2) => `${(100 * share).toFixed(digits)} %`

console.log(`One cell, ${gates} gates per entry, seed ${seed}: share of fails\n`)
const slowdowns = [0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.2]
console.log(
  `| noise | ${slowdowns.map((one) => `+${(100 * one).toFixed(0)} %`).join(' | ')} | inconclusive (0; 5 %) | mean pairs (0; 5 %) |`,
)
console.log(`|---|${slowdowns.map(() => '---|').join('')}---|---|`)
for (const model of noiseModels) {
  const rows = slowdowns.map((slowdown) => simulateCells(seed, model, slowdown, gates))
  const none = rows[0]!
  const five = rows[slowdowns.indexOf(0.05)]!
  console.log(
    `| ${model} | ${rows.map((row) => percent(row.fail)).join(' | ')} | ` +
      `${percent(none.inconclusive)}; ${percent(five.inconclusive)} | ` +
      `${none.meanPairs.toFixed(1)}; ${five.meanPairs.toFixed(1)} |`,
  )
}

console.log(`\nSuites of 30 cells, ${suites} suites per entry\n`)
console.log(
  '| noise | false fail, nothing changed | one cell +5 %: found | false fail beside it | mean pairs |',
)
console.log('|---|---|---|---|---|')
for (const model of noiseModels) {
  const none = simulateSuites(seed, model, 30, 0, suites)
  const five = simulateSuites(seed, model, 30, 0.05, suites)
  console.log(
    `| ${model} | ${percent(none.falseFail)} | ${percent(five.found)} | ${percent(five.falseFail)} | ` +
      `${none.meanPairs.toFixed(0)}; ${five.meanPairs.toFixed(0)} |`,
  )
}
