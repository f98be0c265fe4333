package io.llamafu.grammar;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import static java.util.Objects.requireNonNull;

/**
 * Compiles a JSON schema to a grammar whose answers are JSON documents of the schema.
 *
 * <pre>{@code
 * String schema = """
 *         {"type": "object",
 *          "properties": {"city": {"type": "string", "maxLength": 40}, "nights": {"type": "integer", "minimum": 1}},
 *          "required": ["city"]}""";
 * SamplingOptions sampling = SamplingOptions.builder().grammar(JsonSchemaGrammar.of(schema)).build();
 * }</pre>
 *
 * <p>Every finished answer is valid, but not every valid document can be an answer: answers are compact, their
 * properties are in the order of the schema, and only properties that the schema names are written. {@code
 * docs/structured-output.md} lists the supported keywords. An answer that does not end with {@link
 * io.llamafu.engine.FinishReason#END_OF_GENERATION} is cut and not valid JSON.
 */
public final class JsonSchemaGrammar {
    public static final int MAX_CHARACTERS = 65_536;

    /** The most subschemas that an answer can reach. */
    public static final int MAX_SUBSCHEMAS = 1000;

    private JsonSchemaGrammar() {}

    /**
     * Compiles a schema.
     *
     * @return GBNF
     * @throws LlamafuException with {@link ErrorCode#INVALID_SCHEMA} if the schema is malformed, cannot be satisfied or
     *     uses keywords that cannot be enforced (all of them are listed); with {@link ErrorCode#INVALID_TEXT} if it has
     *     an unpaired surrogate
     */
    public static String of(String jsonSchema) {
        return new SchemaCompiler(SchemaDocument.parse(requireNonNull(jsonSchema, "jsonSchema is null"))).compile();
    }
}
