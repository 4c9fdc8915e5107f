/**
 * The completion scripts. Each is data, what may follow each command, and a driver that finds out where the cursor is.
 * Bash and zsh read the same data; fish has a syntax of its own.
 *
 * The data are lines: a word, with a tab and its summary where it has one; or one of
 *
 *   @list      several, separated by commas
 *   @files     a path
 *   @folders   a path of a folder
 *
 * An option that takes a value has at least the line `@value`; a flag has none.
 */

import type { CompletedCommand, Value } from './model.ts'

/** The functions that a driver asks: key → lines. */
interface Data {
  /** Command paths that exist. */
  readonly paths: readonly string[]
  /** By path: subcommands. */
  readonly commands: Cases
  /** By path: options. */
  readonly options: Cases
  /** By path and option: `gate --format`. */
  readonly values: Cases
  /** By path and position: `gate 0`, `list *`. */
  readonly positions: Cases
}

type Cases = readonly (readonly [keys: readonly string[], lines: readonly string[]])[]

function dataOf(model: readonly CompletedCommand[]): Data {
  const line = (word: string, summary: string) => `${word}\t${summary.replaceAll(/\s+/g, ' ')}`
  return {
    paths: model.map(({ path }) => path).filter((path) => path !== ''),
    commands: model.map(({ path, commands }) => [
      [path],
      commands.map(({ name, summary }) => line(name, summary)),
    ]),
    options: model.map(({ path, options }) => [
      [path],
      options.flatMap(({ names, summary }) => names.map((name) => line(name, summary))),
    ]),
    values: model.flatMap(({ path, options }) =>
      options.flatMap(({ names, value }) =>
        value === undefined ? [] : [[names.map((name) => `${path} ${name}`), linesOf(value)] as const],
      ),
    ),
    positions: model.flatMap(({ path, arguments: values, isVariadic }) =>
      values.map((value, position) => {
        const place = isVariadic && position === values.length - 1 ? '*' : position
        return [[`${path} ${place}`], linesOf(value)] as const
      }),
    ),
  }
}

function linesOf({ words, isList, paths }: Value): readonly string[] {
  return ['@value', ...(isList ? ['@list'] : []), ...(paths === 'none' ? [] : [`@${paths}`]), ...words]
}

const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`

function posixCases(name: string, cases: Cases): string {
  const branches = cases
    .filter(([, lines]) => lines.length > 0)
    .map(([keys, lines]) => {
      // A star stands for any position, so it must not be quoted.
      const pattern = keys
        .map((key) => (key.endsWith(' *') ? `${quote(key.slice(0, -1))}*` : quote(key)))
        .join('|')
      return `    ${pattern}) printf '%s\\n' ${lines.map(quote).join(' ')} ;;`
    })
  return `${name}() {\n  case "$1" in\n${branches.join('\n')}\n  esac\n}`
}

function posixData(data: Data): string {
  const paths = data.paths.map(quote).join('|')
  return [
    posixCases('__shootout_commands', data.commands),
    posixCases('__shootout_options', data.options),
    posixCases('__shootout_values', data.values),
    posixCases('__shootout_positions', data.positions),
    `__shootout_is_path() {\n  case "$1" in\n    ${paths}) return 0 ;;\n  esac\n  return 1\n}`,
    posixWalk,
  ].join('\n\n')
}

/**
 * Sets `trail` (the command), `lines` (what may follow), `fragment` (what is typed of it) and `before` (what stands in
 * front of that in the same word). In zsh, `path` would be the list of folders with commands.
 */
const posixWalk = `# What may stand at the cursor: __shootout_walk CURRENT-WORD WORD-BEFORE…
__shootout_walk() {
  local current=$1 word option=''
  local position=0
  shift
  trail='' fragment=$current before=''
  for word in "$@"; do
    if [ -n "$option" ]; then
      option=''
    elif [ "\${word#-}" != "$word" ]; then
      if [ -n "$(__shootout_values "$trail $word")" ]; then option=$word; fi
    elif __shootout_is_path "\${trail:+$trail }$word"; then
      trail="\${trail:+$trail }$word"
      position=0
    else
      position=$((position + 1))
    fi
  done
  if [ -z "$option" ]; then
    case "$current" in
      --*=*)
        option=\${current%%=*}
        before="$option="
        fragment=\${current#*=}
        ;;
      -*)
        lines=$(__shootout_options "$trail")
        return
        ;;
    esac
  fi
  if [ -n "$option" ]; then
    lines=$(__shootout_values "$trail $option")
  else
    lines=$(__shootout_commands "$trail"; __shootout_positions "$trail $position")
  fi
  case "$lines" in
    *@list*)
      case "$fragment" in
        *,*)
          before="$before\${fragment%,*},"
          fragment=\${fragment##*,}
          ;;
      esac
      ;;
  esac
}`

export function bashScript(model: readonly CompletedCommand[]): string {
  return `# bash completion for shootout; load it with: source <(shootout completion bash)

${posixData(dataOf(model))}

_shootout() {
  local typed=\${COMP_LINE:0:COMP_POINT} current='' trail lines fragment before line stem
  local -a words=()
  read -ra words <<<"$typed"
  if [[ $typed != *[[:space:]] ]]; then
    current=\${words[\${#words[@]}-1]}
    words=("\${words[@]:0:\${#words[@]}-1}")
  fi
  __shootout_walk "$current" "\${words[@]:1}"
  # Bash takes = and : for ends of words; what stands before the last of them is not to be repeated.
  stem=\${current##*[=:]}
  stem=\${current%"$stem"}
  COMPREPLY=()
  while IFS= read -r line; do
    case "$line" in
      '' | @value | @list) ;;
      @files) __shootout_paths -f ;;
      @folders) __shootout_paths -d ;;
      "$fragment"*)
        line=$before\${line%%$'\\t'*}
        COMPREPLY+=("\${line#"$stem"}")
        ;;
    esac
  done <<<"$lines"
  case "\${COMPREPLY[*]}" in
    # More is to be typed after these.
    *[=:]) compopt -o nospace 2>/dev/null ;;
  esac
}

__shootout_paths() {
  local found
  compopt -o filenames 2>/dev/null
  while IFS= read -r found; do
    found=$before$found
    COMPREPLY+=("\${found#"$stem"}")
  done < <(compgen "$1" -- "$fragment")
}

complete -F _shootout shootout
`
}

export function zshScript(model: readonly CompletedCommand[]): string {
  return `#compdef shootout
# zsh completion for shootout; load it with: source <(shootout completion zsh)

${posixData(dataOf(model))}

_shootout() {
  emulate -L zsh
  local trail lines fragment before line word summary
  local -a shown hints
  __shootout_walk "\${words[CURRENT]}" "\${(@)words[2,CURRENT-1]}"
  for line in "\${(@f)lines}"; do
    case "$line" in
      '' | @value | @list) ;;
      @files) compset -P '*[,=]'; _files ;;
      @folders) compset -P '*='; _files -/ ;;
      *)
        word=\${line%%$'\\t'*}
        summary=\${line#*$'\\t'}
        shown+=("$before$word")
        if [[ "$summary" == "$line" ]]; then hints+=("$word"); else hints+=("$word -- $summary"); fi
        ;;
    esac
  done
  # What ends in = or : wants more after it.
  local -a open closed open_hints closed_hints
  local index
  for ((index = 1; index <= $#shown; index++)); do
    if [[ "$shown[index]" == *[=:] ]]; then
      open+=("$shown[index]"); open_hints+=("$hints[index]")
    else
      closed+=("$shown[index]"); closed_hints+=("$hints[index]")
    fi
  done
  compadd -l -d closed_hints -- "\${closed[@]}"
  compadd -S '' -l -d open_hints -- "\${open[@]}"
}

if [[ "\${funcstack[1]}" == _shootout ]]; then _shootout "$@"; else compdef _shootout shootout; fi
`
}

function fishCases(name: string, cases: Cases): string {
  const fishQuote = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
  const branches = cases
    .filter(([, lines]) => lines.length > 0)
    .map(
      ([keys, lines]) =>
        `    case ${keys.map(fishQuote).join(' ')}\n      printf '%s\\n' ${lines.map(fishQuote).join(' ')}`,
    )
  return `function ${name}\n  switch "$argv[1]"\n${branches.join('\n')}\n  end\nend`
}

export function fishScript(model: readonly CompletedCommand[]): string {
  const data = dataOf(model)
  return `# fish completion for shootout; load it with: shootout completion fish | source

${fishCases('__shootout_commands', data.commands)}

${fishCases('__shootout_options', data.options)}

${fishCases('__shootout_values', data.values)}

${fishCases('__shootout_positions', data.positions)}

${fishCases(
  '__shootout_is_path',
  data.paths.map((path) => [[path], ['yes']]),
)}

function __shootout_complete
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  set -l path ''
  set -l option ''
  set -l position 0
  for word in $words[2..-1]
    set -l longer (string trim -- "$path $word")
    if test -n "$option"
      set option ''
    else if string match -q -- '-*' $word
      if test -n "$(__shootout_values "$path $word")"
        set option $word
      end
    else if test -n "$(__shootout_is_path "$longer")"
      set path $longer
      set position 0
    else
      set position (math $position + 1)
    end
  end
  set -l before ''
  set -l fragment $current
  if test -z "$option"
    if string match -q -- '--*=*' $current
      set option (string replace -r '=.*' '' -- $current)
      set before "$option="
      set fragment (string replace -r '^[^=]*=' '' -- $current)
    else if string match -q -- '-*' $current
      __shootout_options "$path"
      return
    end
  end
  set -l lines
  if test -n "$option"
    set lines (__shootout_values "$path $option")
  else
    set lines (__shootout_commands "$path") (__shootout_positions "$path $position")
  end
  if contains -- @list $lines; and string match -q -- '*,*' $fragment
    set before $before(string replace -r '[^,]*$' '' -- $fragment)
    set fragment (string replace -r '.*,' '' -- $fragment)
  end
  for line in $lines
    switch $line
      case @value @list
      case @files
        for found in (__fish_complete_path "$fragment")
          echo $before$found
        end
      case @folders
        for found in (__fish_complete_directories "$fragment")
          echo $before$found
        end
      case '*'
        echo $before$line
    end
  end
end

complete -c shootout -f -a '(__shootout_complete)'
`
}
