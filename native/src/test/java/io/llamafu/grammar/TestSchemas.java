package io.llamafu.grammar;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.networknt.schema.InputFormat;
import com.networknt.schema.Schema;
import com.networknt.schema.SchemaRegistry;
import com.networknt.schema.SchemaRegistryConfig;
import com.networknt.schema.SpecificationVersion;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.time.OffsetTime;
import java.util.ArrayList;
import java.util.List;

/** Schemas with documents that must be possible as answers, and others that must not. */
public final class TestSchemas {
    public static final ObjectMapper JSON = new ObjectMapper();

    private TestSchemas() {}

    public record Example(String name, String schema, Schema validator, List<JsonNode> answers, List<JsonNode> others) {
        String grammar() {
            return JsonSchemaGrammar.of(schema);
        }

        /** The errors of a document. */
        public List<?> problems(JsonNode document) {
            if (name.equals("time")) {
                // the validator rejects 20:00:00-11:00, because it does not carry hours past midnight
                OffsetTime.parse(document.textValue());
                return List.of();
            }
            return validator.validate(document.toString(), InputFormat.JSON);
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
    static Schema validator(String schema) {
        SchemaRegistryConfig config =
                SchemaRegistryConfig.builder().formatAssertionsEnabled(true).build();
        return SchemaRegistry.withDefaultDialect(
                        SpecificationVersion.DRAFT_2020_12, registry -> registry.schemaRegistryConfig(config))
                .getSchema(schema, InputFormat.JSON);
    }
}
