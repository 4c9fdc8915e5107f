/**
 * The contract of everything that follows a run as it goes: the results file is one reporter, the progress display
 * another. Events *are* the lines of the file. All methods are optional.
 */

import type {
  CalibrationLine,
  EndLine,
  ForkId,
  ForkLine,
  ForksLine,
  Setting,
  SkipLine,
  SuiteLine,
} from './schema.ts'

/** Where the run stands. Only a display needs it; it is not in the file. */
export interface Progress {
  /** `calibrating` or `measuring`. */
  readonly stage: 'calibrating' | 'measuring'
  /** Steps (a setting, with all its contenders) done and to do, in this stage. */
  readonly done: number
  readonly total: number
  /** The setting that is about to be measured, and the number of the block. */
  readonly setting: Setting
  readonly fork: number
  /** Expected time until the end of the run, ns; undefined while nothing is known. */
  readonly remainingNs: number | undefined
}

export interface Reporter {
  onSuite?(line: SuiteLine): void
  onProgress?(progress: Progress): void
  onForkStart?(id: ForkId): void
  onFork?(line: ForkLine): void
  onSkip?(line: SkipLine): void
  onCalibration?(line: CalibrationLine): void
  onForks?(line: ForksLine): void
  /** Something a person should know, one line. */
  onLog?(message: string): void
  onEnd?(line: EndLine): void
  /** Flush and release. Called once, also after an error. */
  close?(): void | Promise<void>
}
