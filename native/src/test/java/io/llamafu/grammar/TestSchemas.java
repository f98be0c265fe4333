package io.llamafu.grammar;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.networknt.schema.JsonSchema;
import com.networknt.schema.JsonSchemaFactory;
import com.networknt.schema.SchemaValidatorsConfig;
import com.networknt.schema.SpecVersion;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.time.OffsetTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** Schemas with documents that must be possible as answers, and others that must not. */
public final class TestSchemas {
    public static final ObjectMapper JSON = new ObjectMapper();

    private TestSchemas() {}

    public record Example(
            String name, String schema, JsonSchema validator, List<JsonNode> answers, List<JsonNode> others) {
        String grammar() {
            return JsonSchemaGrammar.of(schema);
        }

        /** The errors of a document. */
        public Set<?> problems(JsonNode document) {
            if (name.equals("time")) {
                // the validator rejects 20:00:00-11:00, because it does not carry hours past midnight
                OffsetTime.parse(document.textValue());
                return Set.of();
            }
            return validator.validate(document);
        }

        @Override
        public String toString() {
            return name;
        }
    }

    public static List<Example> all() {
        List<Example> examples = new ArrayList<>();
        try (InputStream file = TestSchemas.class.getResourceAsStream("/json-schemas.json")) {
            for (JsonNode example : JSON.readTree(file)) {
                examples.add(new Example(
                        example.get("name").asText(),
                        example.get("schema").toString(),
                        validator(example.get("schema").toString()),
                        list(example.get("answers")),
                        list(example.get("others"))));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return examples;
    }

    private static List<JsonNode> list(JsonNode array) {
        List<JsonNode> list = new ArrayList<>();
        array.forEach(list::add);
        return list;
    }

    /** Checks formats too. */
    static JsonSchema validator(String schema) {
        return JsonSchemaFactory.getInstance(SpecVersion.VersionFlag.V202012)
                .getSchema(
                        schema,
                        SchemaValidatorsConfig.builder()
                                .formatAssertionsEnabled(true)
                                .build());
    }
}
