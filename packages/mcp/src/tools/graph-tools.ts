import type { McpServer } from '@modelcontextprotocol/server'
import { z } from 'zod'
import { Entity, Relation } from '../graph/graph.ts'
import type { KnowledgeGraph } from '../graph/knowledge-graph.ts'

/** The nine names, inputs and outputs of the published memory server, so that what was written for it works here. */

const GraphShape = z.object({ entities: z.array(Entity), relations: z.array(Relation) })
const Done = z.object({ success: z.boolean(), message: z.string() })

const READS = { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false }
const ADDS = { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: false }
const REMOVES = { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false }

/** What the published server answers: the text of `said`, and the same as structured content. */
const answer = <T extends Record<string, unknown>>(said: unknown, structuredContent: T) => ({
  content: [{ type: 'text' as const, text: typeof said === 'string' ? said : JSON.stringify(said, null, 2) }],
  structuredContent,
})
const done = (message: string) => answer(message, { success: true, message })

export const GRAPH_URI = 'memory://knowledge-graph'
export const GRAPH_TOOLS = [
  'create_entities',
  'create_relations',
  'add_observations',
  'delete_entities',
  'delete_observations',
  'delete_relations',
  'read_graph',
  'search_nodes',
  'open_nodes',
] as const

/** `isAllowed`: the owner's list; what is not on it does not exist for the client. */
export function addGraphTools(server: McpServer, graph: KnowledgeGraph, isAllowed: (tool: string) => boolean): void {
  const add = {
    create_entities: () =>
      server.registerTool(
        'create_entities',
        {
          title: 'Create Entities',
          description: 'Create entities in the knowledge graph; those whose name is there already are left as they are',
          inputSchema: z.object({ entities: z.array(Entity) }),
          outputSchema: z.object({ entities: z.array(Entity) }),
          annotations: ADDS,
        },
        async ({ entities }) => {
          const created = await graph.createEntities(entities)
          return answer(created, { entities: created })
        },
      ),
    create_relations: () =>
      server.registerTool(
        'create_relations',
        {
          title: 'Create Relations',
          description: 'Create relations between entities, in active voice',
          inputSchema: z.object({ relations: z.array(Relation) }),
          outputSchema: z.object({ relations: z.array(Relation) }),
          annotations: ADDS,
        },
        async ({ relations }) => {
          const created = await graph.createRelations(relations)
          return answer(created, { relations: created })
        },
      ),
    add_observations: () =>
      server.registerTool(
        'add_observations',
        {
          title: 'Add Observations',
          description: 'Add what was learnt to entities that are there',
          inputSchema: z.object({
            observations: z.array(
              z.object({
                entityName: z.string().describe('The entity that they are about'),
                contents: z.array(z.string()).describe('What to add, a sentence each'),
              }),
            ),
          }),
          outputSchema: z.object({
            results: z.array(z.object({ entityName: z.string(), addedObservations: z.array(z.string()) })),
          }),
          annotations: ADDS,
        },
        async ({ observations }) => {
          const results = await graph.addObservations(observations)
          return answer(results, { results })
        },
      ),
    delete_entities: () =>
      server.registerTool(
        'delete_entities',
        {
          title: 'Delete Entities',
          description: 'Delete entities, what is known of them, and their relations',
          inputSchema: z.object({ entityNames: z.array(z.string()).describe('Names of the entities') }),
          outputSchema: Done,
          annotations: REMOVES,
        },
        async ({ entityNames }) => {
          await graph.deleteEntities(entityNames)
          return done('Entities deleted successfully')
        },
      ),
    delete_observations: () =>
      server.registerTool(
        'delete_observations',
        {
          title: 'Delete Observations',
          description: 'Delete single observations of entities',
          inputSchema: z.object({
            deletions: z.array(
              z.object({
                entityName: z.string().describe('The entity that they are about'),
                observations: z.array(z.string()).describe('The observations, as they were written'),
              }),
            ),
          }),
          outputSchema: Done,
          annotations: REMOVES,
        },
        async ({ deletions }) => {
          await graph.deleteObservations(deletions)
          return done('Observations deleted successfully')
        },
      ),
    delete_relations: () =>
      server.registerTool(
        'delete_relations',
        {
          title: 'Delete Relations',
          description: 'Delete relations between entities',
          inputSchema: z.object({ relations: z.array(Relation) }),
          outputSchema: Done,
          annotations: REMOVES,
        },
        async ({ relations }) => {
          await graph.deleteRelations(relations)
          return done('Relations deleted successfully')
        },
      ),
    read_graph: () =>
      server.registerTool(
        'read_graph',
        {
          title: 'Read Graph',
          description: 'Read the whole knowledge graph',
          inputSchema: z.object({}),
          outputSchema: GraphShape,
          annotations: READS,
        },
        async () => {
          const found = await graph.readGraph()
          return answer(found, { ...found })
        },
      ),
    search_nodes: () =>
      server.registerTool(
        'search_nodes',
        {
          title: 'Search Nodes',
          description: 'Find entities whose name, type or observations contain some text, with their relations',
          inputSchema: z.object({ query: z.string().describe('The text, in any case') }),
          outputSchema: GraphShape,
          annotations: READS,
        },
        async ({ query }) => {
          const found = await graph.searchNodes(query)
          return answer(found, { ...found })
        },
      ),
    open_nodes: () =>
      server.registerTool(
        'open_nodes',
        {
          title: 'Open Nodes',
          description: 'Read entities by their names, with their relations',
          inputSchema: z.object({ names: z.array(z.string()).describe('Names of the entities') }),
          outputSchema: GraphShape,
          annotations: READS,
        },
        async ({ names }) => {
          const found = await graph.openNodes(names)
          return answer(found, { ...found })
        },
      ),
  } satisfies Record<(typeof GRAPH_TOOLS)[number], () => unknown>
  for (const name of GRAPH_TOOLS) if (isAllowed(name)) add[name]()
}

/** The published server's one resource. */
export function addGraphResource(server: McpServer, graph: KnowledgeGraph): void {
  server.registerResource(
    'knowledge-graph',
    GRAPH_URI,
    { title: 'Knowledge Graph', description: 'All entities and relations', mimeType: 'application/json' },
    async (uri) => {
      const text = JSON.stringify(await graph.readGraph(), null, 2)
      return { contents: [{ uri: uri.href, mimeType: 'application/json', text }] }
    },
  )
}
