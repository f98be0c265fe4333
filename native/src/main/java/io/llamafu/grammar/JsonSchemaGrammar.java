package io.llamafu.grammar;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import static java.util.Objects.requireNonNull;

/**
 * The grammar of an answer that is a JSON document of a schema.
 *
 * <pre>{@code
 * String schema = """
 *         {"type": "object",
 *          "properties": {"city": {"type": "string", "maxLength": 40}, "nights": {"type": "integer", "minimum": 1}},
 *          "required": ["city"]}""";
 * SamplingOptions sampling = SamplingOptions.builder().grammar(JsonSchemaGrammar.of(schema)).build();
 * }</pre>
 *
 * <p>Every finished answer is valid; not every valid document can be an answer. Answers are compact, their properties
 * are in the order of the schema, and only properties that the schema names are written. {@code
 * docs/structured-output.md} lists the keywords and what is left out. An answer that ends for another reason than
 * {@link io.llamafu.engine.FinishReason#END_OF_GENERATION} is cut and no JSON.
 */
public final class JsonSchemaGrammar {
    /** The longest schema. */
    public static final int MAX_CHARACTERS = 65_536;

    /** The most subschemas that the answer can reach. */
    public static final int MAX_SUBSCHEMAS = 1000;

    private JsonSchemaGrammar() {}

    /**
     * Writes the grammar.
     *
     * @return GBNF
     * @throws LlamafuException with {@link ErrorCode#INVALID_SCHEMA} if the schema is malformed, asks for the impossible
     *     or uses keywords that cannot be enforced; all of those are listed. With {@link ErrorCode#INVALID_TEXT} if it
     *     has an unpaired surrogate
     */
    public static String of(String jsonSchema) {
        return new SchemaCompiler(SchemaDocument.parse(requireNonNull(jsonSchema, "jsonSchema is null"))).compile();
    }
}
