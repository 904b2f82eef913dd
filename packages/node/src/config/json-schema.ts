import { z } from 'zod'
import { Config } from './schema.ts'

/**
 * For editors: what `config check` checks, less what only it can (aliases among one another). Draft 4, the newest that
 * taplo reads, and with it the editors that follow a `#:schema` line.
 */
export const jsonSchema = (): object => ({
  title: 'config.toml of a Sealmesh node',
  ...z.toJSONSchema(Config, {
    target: 'draft-7',
    io: 'input',
    override: ({ jsonSchema: part }) => namesByPattern(part),
  }),
  $schema: 'http://json-schema.org/draft-04/schema#',
})

/** As it is written beside a config. */
export const jsonSchemaText = (): string => `${JSON.stringify(jsonSchema(), null, 2)}\n`

/** The one word of draft 7 that the schema has and draft 4 has not: keys of free choice are told by their pattern. */
function namesByPattern(part: z.core.JSONSchema.BaseSchema): void {
  const { propertyNames, additionalProperties } = part
  if (typeof propertyNames !== 'object' || propertyNames.pattern === undefined || additionalProperties === undefined)
    return
  part.patternProperties = { [propertyNames.pattern]: additionalProperties }
  part.additionalProperties = false
  delete part.propertyNames
}
