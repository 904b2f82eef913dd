import type { Argument, Command, Option } from 'commander'

/** What may stand in a place of a command line, apart from what its words say themselves. */
export type Kind = 'agent' | 'node' | 'umr'

export interface Candidate {
  readonly word: string
  readonly about: string
}

export interface Completed {
  readonly candidates: readonly Candidate[]
  /** Names that only the node knows may stand here as well. */
  readonly kinds: readonly Kind[]
}

/** By the names that verbs give to their arguments and to the values of their options. */
const KINDS: Readonly<Record<string, readonly Kind[]>> = {
  agent: ['agent'],
  agents: ['agent'],
  to: ['agent'],
  node: ['node'],
  peer: ['node'],
  umr: ['umr'],
  prefix: ['umr'],
  item: ['umr'],
  'umr-or-agent': ['agent', 'umr'],
}

const NOTHING: Completed = { candidates: [], kinds: [] }

/** `words`: those of the command line without the program's name; the last one, perhaps empty, is completed. Pure. */
export function complete(program: Command, words: readonly string[]): Completed {
  const before = words.slice(0, -1)
  const last = words.at(-1) ?? ''
  let command = program
  let given = 0
  let valueOf: Option | undefined
  let isOver = false
  for (const word of before) {
    if (valueOf !== undefined && !word.startsWith('-')) {
      // One that takes several values goes on until the next option.
      valueOf = valueOf.variadic ? valueOf : undefined
      continue
    }
    valueOf = undefined
    if (!isOver && word === '--') isOver = true
    else if (!isOver && word.startsWith('-')) {
      const option = word.includes('=') ? undefined : optionOf(command, word)
      if (option !== undefined && (option.required || option.optional)) valueOf = option
    } else {
      const child = given === 0 ? command.commands.find((each) => each.name() === word) : undefined
      if (child === undefined) given += 1
      else command = child
    }
  }
  if (valueOf !== undefined && !last.startsWith('-')) return matching(last, valuesOf(valueOf))
  if (!isOver && last.startsWith('-')) return matching(last, { candidates: optionsOf(command), kinds: [] })
  const children = given === 0 ? command.commands.filter(isShown) : []
  const verbs = children.map((each) => ({ word: each.name(), about: each.summary() }))
  const { candidates, kinds } = argumentOf(command, given)
  return matching(last, { candidates: [...verbs, ...candidates], kinds })
}

const matching = (start: string, { candidates, kinds }: Completed): Completed => ({
  candidates: candidates.filter(({ word }) => word.startsWith(start)),
  kinds,
})

/** Of this verb and of those above it. */
function allOptions(command: Command): Option[] {
  const own = [...command.createHelp().visibleOptions(command)]
  return command.parent === null ? own : [...own, ...command.parent.options.filter(({ hidden }) => !hidden)]
}

function optionOf(command: Command, word: string): Option | undefined {
  for (let at: Command | null = command; at !== null; at = at.parent) {
    const found = allOptions(at).find(({ long, short }) => long === word || short === word)
    if (found !== undefined) return found
  }
  return undefined
}

function optionsOf(command: Command): Candidate[] {
  const found = new Map<string, Candidate>()
  for (let at: Command | null = command; at !== null; at = at.parent)
    for (const { long, description } of allOptions(at)) {
      // --version is the program's alone.
      if (long == null || found.has(long) || (long === '--version' && command.parent !== null)) continue
      found.set(long, { word: long, about: description })
    }
  return [...found.values()]
}

function argumentOf(command: Command, given: number): Completed {
  const { registeredArguments } = command
  const last = registeredArguments.at(-1)
  const argument = registeredArguments[given] ?? (last?.variadic === true ? last : undefined)
  return argument === undefined ? defaultOf(command, given) : valuesOf(argument)
}

/** What follows a verb that stands for one of its own: `vote AGENT...` is `vote call AGENT...`. */
function defaultOf(command: Command, given: number): Completed {
  const { _defaultCommandName: name } = command as Command & { readonly _defaultCommandName?: string | null }
  const child = name == null ? undefined : command.commands.find((each) => each.name() === name)
  return child === undefined ? NOTHING : argumentOf(child, given)
}

function valuesOf(place: Argument | Option): Completed {
  const { argChoices: choices } = place
  if (choices !== undefined && choices.length > 0)
    return { candidates: choices.map((word) => ({ word, about: '' })), kinds: [] }
  const name = 'flags' in place ? (/[<[]([a-z-]+)/.exec(place.flags)?.[1] ?? '') : place.name()
  return { candidates: [], kinds: KINDS[name] ?? [] }
}

const isShown = (command: Command): boolean => !(command as Command & { readonly _hidden?: boolean })._hidden
