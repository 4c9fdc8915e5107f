// Prints how many tests passed and failed, from the JSON report of the test runner. Fails when none ran.
import { readFileSync } from 'node:fs'

/**
 * The part of the report that counts.
 * @type {{ numPassedTests: number, numFailedTests: number,
 *   testResults: { status: string, assertionResults: { status: string }[] }[] }}
 */
const report = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'))
const { numPassedTests: passed, numFailedTests: failed, testResults } = report
// A file that cannot even be loaded has no tests of its own to count.
const brokenFiles = testResults.filter(
  (file) => file.status === 'failed' && file.assertionResults.every((test) => test.status !== 'failed'),
).length
console.log(`${passed} passed, ${failed + brokenFiles} failed`)
if (passed === 0) process.exitCode = 1
