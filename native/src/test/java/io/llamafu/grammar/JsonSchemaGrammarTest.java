package io.llamafu.grammar;

import com.fasterxml.jackson.databind.JsonNode;
import com.networknt.schema.InputFormat;
import com.networknt.schema.Schema;
import io.llamafu.ErrorCode;
import io.llamafu.grammar.TestSchemas.Example;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import static io.llamafu.testing.Failures.assertFails;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;

class JsonSchemaGrammarTest {
    static List<Example> examples() {
        return TestSchemas.all();
    }

    @ParameterizedTest
    @MethodSource("examples")
    void allowsDocumentsOfTheSchema(Example example) {
        ParsedGrammar grammar = ParsedGrammar.parse(example.grammar());

        for (JsonNode answer : example.answers()) {
            assertThat(grammar.follows(answer.toString())).as(answer.toString()).isTrue();
            assertThat(example.problems(answer)).as(answer.toString()).isEmpty();
        }
    }

    @ParameterizedTest
    @MethodSource("examples")
    void forbidsOtherDocuments(Example example) {
        ParsedGrammar grammar = ParsedGrammar.parse(example.grammar());

        for (JsonNode other : example.others()) {
            assertThat(grammar.follows(other.toString())).as(other.toString()).isFalse();
        }
    }

    @ParameterizedTest
    @MethodSource("examples")
    void whateverFollowsTheGrammarIsValid(Example example) throws Exception {
        ParsedGrammar grammar = ParsedGrammar.parse(example.grammar());
        Random random = new Random(11);

        for (int i = 0; i < 500; i++) {
            String document = grammar.random(random);
            assertThat(example.problems(TestSchemas.JSON.readTree(document)))
                    .as(document)
                    .isEmpty();
        }
    }

    @ParameterizedTest
    @MethodSource("examples")
    void grammarsAreWithinTheLimits(Example example) {
        assertThatCode(() -> GrammarSyntax.check(example.grammar(), GrammarSyntax.Version.B4916))
                .doesNotThrowAnyException();
    }

    @ParameterizedTest
    @CsvSource({
        "0, 0",
        "0, 9",
        "0, 10",
        "1, 10",
        "5, 5",
        "9, 10",
        "10, 99",
        "99, 101",
        "17, 83",
        "100, 999",
        "123, 1230",
        "-5, 5",
        "-10, -1",
        "-120, -7",
        "-1, 0",
        "0, 1",
        "990, 1010"
    })
    void integersOfARangeAreExact(int low, int high) {
        ParsedGrammar grammar = ParsedGrammar.parse(
                JsonSchemaGrammar.of("{\"type\": \"integer\", \"minimum\": %d, \"maximum\": %d}".formatted(low, high)));

        for (int i = -1500; i <= 1500; i++) {
            assertThat(grammar.follows(Integer.toString(i))).as("%d", i).isEqualTo(low <= i && i <= high);
        }
        assertThat(grammar.follows("-0")).isFalse();
        assertThat(grammar.follows("00")).isFalse();
        assertThat(grammar.follows("1.0")).isFalse();
    }

    @ParameterizedTest
    @CsvSource({
        "minimum, 0, maximum, 1", "exclusiveMinimum, 0, maximum, 1", "minimum, -1, exclusiveMaximum, 1",
        "minimum, -3, maximum, 12", "exclusiveMinimum, -3, exclusiveMaximum, -2", "minimum, 2, maximum, 2",
        "exclusiveMinimum, 7, exclusiveMaximum, 8", "minimum, -11, maximum, 0", "exclusiveMinimum, -1, minimum, -2"
    })
    void numbersOfARangeAreExact(String lowKeyword, double low, String highKeyword, double high) {
        ParsedGrammar grammar = ParsedGrammar.parse(JsonSchemaGrammar.of(
                "{\"type\": \"number\", \"%s\": %s, \"%s\": %s}".formatted(lowKeyword, low, highKeyword, high)));
        Schema validator = TestSchemas.validator(
                "{\"type\": \"number\", \"%s\": %s, \"%s\": %s}".formatted(lowKeyword, low, highKeyword, high));

        for (int hundredths = -2000; hundredths <= 2000; hundredths++) {
            String text = Double.toString(hundredths / 100.0);
            String shortest = text.endsWith(".0") ? text.substring(0, text.length() - 2) : text;
            assertThat(grammar.follows(shortest))
                    .as(shortest)
                    .isEqualTo(validator.validate(text, InputFormat.JSON).isEmpty());
        }
        assertThat(grammar.follows("-0")).isFalse();
    }

    @Test
    void answersAreCompact() {
        ParsedGrammar grammar = ParsedGrammar.parse(
                JsonSchemaGrammar.of(
                        "{\"type\": \"object\", \"properties\": {\"a\": {\"enum\": [{\"b\": [1, 2]}]}}, \"required\": [\"a\"]}"));

        assertThat(grammar.follows("{\"a\":{\"b\":[1,2]}}")).isTrue();
        assertThat(grammar.follows("{\"a\": {\"b\":[1,2]}}")).isFalse();
        assertThat(grammar.follows("{\"a\":{\"b\": [1,2]}}")).isFalse();
    }

    @Test
    void stringsHaveNoHalvesOfCharacters() {
        ParsedGrammar grammar = ParsedGrammar.parse(JsonSchemaGrammar.of("{\"type\": \"string\"}"));

        assertThat(grammar.follows("\"\\u00e9 \\uD7ff \\ue000\"")).isTrue();
        assertThat(grammar.follows("\"\\ud83d\\ude00\"")).isFalse();
        assertThat(grammar.follows("\"\uD83D\"")).isFalse();
        assertThat(grammar.follows("\"\n\"")).isFalse();
        assertThat(grammar.follows("\"\\x\"")).isFalse();
    }

    @Test
    void everyUnsupportedKeywordIsListedWithItsPlace() {
        assertRefused(
                """
                {"type": "object", "minProperties": 1, "properties": {
                   "a/b": {"type": "string", "pattern": "a+", "format": "email"},
                   "list": {"type": "array", "uniqueItems": true, "items": {"$ref": "#/$defs/x"}}},
                 "additionalProperties": {"type": "string"},
                 "$defs": {"x": {"enum": [1], "minimum": 0}, "unused": {"not": {}}}}""",
                "#/minProperties",
                "#/properties/a~1b/pattern",
                "#/properties/a~1b/format (email)",
                "#/properties/list/uniqueItems",
                "#/additionalProperties",
                "#/$defs/x/minimum");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{                                                        | is no JSON",
                "{\"type\": \"null\"} x                                   | is no JSON",
                "{\"type\": \"null\", \"type\": \"null\"}                 | Duplicate field",
                "` `                                                      | is empty",
                "true                                                     | '#': it is true",
                "[]                                                       | '#': it is []",
                "{}                                                       | has no type",
                "{\"title\": \"x\"}                                       | has no type",
                "{\"type\": \"text\"}                                     | type is \"text\"",
                "{\"type\": []}                                           | type is an empty array",
                "{\"type\": 3}                                            | type is 3",
                "{\"type\": \"object\"}                                   | names no properties",
                "{\"type\": \"object\", \"properties\": []}               | properties is []",
                "{\"type\": \"object\", \"properties\": {\"a\": true}}    | '#/properties/a': it is true",
                "{\"type\": \"object\", \"properties\": {}, \"required\": [\"a\"]} | requires 'a'",
                "{\"type\": \"object\", \"properties\": {}, \"required\": \"a\"} | required is \"a\"",
                "{\"type\": \"object\", \"properties\": {}, \"required\": [1]} | required holds 1",
                "{\"type\": \"array\"}                                    | does not say what its items are",
                "{\"items\": [{\"type\": \"null\"}]}                      | let items be one schema",
                "{\"items\": true, \"type\": \"array\"}                   | let items be one schema",
                "{\"items\": {\"type\": \"null\"}, \"minItems\": 3, \"maxItems\": 2} | at least 3, but at most 2",
                "{\"items\": {\"type\": \"null\"}, \"maxItems\": 2001}    | maxItems is 2001",
                "{\"items\": {\"type\": \"null\"}, \"minItems\": -1}      | minItems is -1",
                "{\"items\": {\"type\": \"null\"}, \"minItems\": 1.5}     | minItems is 1.5",
                "{\"items\": {\"type\": \"null\"}, \"minItems\": \"1\"}   | minItems is \"1\"",
                "{\"prefixItems\": [{\"type\": \"null\"}], \"minItems\": 2} | at least 2, but at most 1",
                "{\"prefixItems\": []}                                    | prefixItems is []",
                "{\"type\": \"string\", \"maxLength\": 5000}              | from 0 to 2000",
                "{\"type\": \"string\", \"minLength\": 1e999999999}       | exponent",
                "{\"type\": \"string\", \"minLength\": 5, \"maxLength\": 4} | minLength is 5, but maxLength is 4",
                "{\"type\": \"string\", \"format\": 1}                    | format is 1",
                "{\"type\": \"string\", \"format\": \"date\", \"maxLength\": 10} | #/maxLength",
                "{\"type\": \"integer\", \"minimum\": 5, \"maximum\": 4}  | leave no integer",
                "{\"type\": \"integer\", \"minimum\": 1e999999999}        | exponent",
                "{\"type\": \"integer\", \"exclusiveMinimum\": true}      | exclusiveMinimum is true",
                "{\"type\": \"number\", \"minimum\": 0.5}                 | bound 0.5",
                "{\"type\": \"number\", \"maximum\": 1e999}               | cannot be enforced",
                "{\"type\": \"number\", \"minimum\": 2, \"maximum\": 1}   | leave no number",
                "{\"type\": \"number\", \"minimum\": 2, \"exclusiveMaximum\": 2} | leave no number",
                "{\"enum\": []}                                           | enum is []",
                "{\"enum\": [1, \"x\"], \"type\": \"integer\"}            | value \"x\" is not of its type",
                "{\"const\": 1, \"enum\": [1]}                            | #/enum",
                "{\"anyOf\": []}                                          | anyOf is []",
                "{\"anyOf\": [{\"type\": \"null\"}], \"type\": \"null\"}  | #/type",
                "{\"oneOf\": [{\"type\": \"number\"}, {\"type\": \"integer\"}]} | alternatives 0 and 1 of oneOf",
                "{\"oneOf\": [{\"enum\": [1, 2]}, {\"enum\": [2.0]}]}     | alternatives 0 and 1 of oneOf",
                "{\"oneOf\": [{\"properties\": {\"a\": {\"type\": \"null\"}}}, {\"properties\": {}}]} | of oneOf",
                "{\"oneOf\": [{\"properties\": {\"a\": {\"type\": \"null\"}}}, {\"type\": \"boolean\"}]} | alternatives 0 and 1 of oneOf",
                "{\"oneOf\": [{\"const\": 1}, {\"items\": {\"type\": \"null\"}}]} | alternatives 0 and 1 of oneOf",
                "{\"enum\": [[1e999999999]]}                              | exponent",
                "{\"allOf\": [{\"type\": \"null\"}]}                      | #/allOf",
                "{\"type\": \"null\", \"not\": {}}                        | #/not",
                "{\"$ref\": \"#/$defs/none\"}                             | no such place",
                "{\"$ref\": \"other.json\"}                               | only places of the same schema",
                "{\"$ref\": \"#/%ZZ\"}                                    | no JSON pointer",
                "{\"$ref\": 1}                                            | $ref is 1",
                "{\"$ref\": \"#\"}                                        | lead back to itself",
                "{\"$ref\": \"#/$defs/a\", \"minimum\": 1, \"$defs\": {\"a\": {\"type\": \"null\"}}} | #/minimum",
                "{\"anyOf\": [{\"type\": \"null\"}, {\"$ref\": \"#\"}]}   | leads back to itself",
                "{\"properties\": {\"a\": {\"$ref\": \"#\"}}, \"required\": [\"a\"]} | without end",
                "{\"items\": {\"$ref\": \"#\"}, \"minItems\": 1}          | without end",
                "{\"type\": \"null\", \"$anchor\": \"x\"}                 | #/$anchor",
            })
    void malformedAndImpossibleSchemasAreRefused(String schema, String message) {
        assertRefused(schema, message);
    }

    /**
     * A schema without a type accepts all types that its keywords do not apply to, although such answers are never
     * written.
     */
    @Test
    void alternativesWithoutATypeAreToldApartByWhatIsWritten() {
        String schema =
                """
                {"oneOf": [
                  {"properties": {"kind": {"const": "a"}}, "required": ["kind"]},
                  {"properties": {"kind": {"const": "b"}}, "required": ["kind"]}]}""";
        ParsedGrammar grammar = ParsedGrammar.parse(JsonSchemaGrammar.of(schema));

        assertThat(grammar.follows("{\"kind\":\"b\"}")).isTrue();
        assertRefused("{\"oneOf\": [%s, {\"type\": \"string\"}]}".formatted(schema), "of oneOf");
    }

    @Test
    void valuesOfAnEnumAreWrittenWithoutExponent() {
        ParsedGrammar grammar = ParsedGrammar.parse(
                JsonSchemaGrammar.of("{\"type\": [\"integer\", \"array\"], \"enum\": [100.0, 2e3, [1.50, -1000.0]]}"));

        for (String answer : List.of("100", "2000", "[1.5,-1000]")) {
            assertThat(grammar.follows(answer)).as(answer).isTrue();
        }
        assertThat(grammar.follows("1E+2")).isFalse();
    }

    @Test
    void unpairedSurrogatesAreRefused() {
        for (String schema :
                List.of("{\"const\": \"\\ud83d\"}", "{\"properties\": {\"\uDE00\": {\"type\": \"null\"}}}")) {
            assertFails(() -> JsonSchemaGrammar.of(schema), ErrorCode.INVALID_TEXT);
        }
    }

    @Test
    void sizeAndDepthAreBounded() {
        assertRefused("[".repeat(101) + "]".repeat(101), "nesting depth");
        assertRefused("\"" + "x".repeat(65_536) + "\"", "65538 characters", "65536");
        assertRefused(properties(1001, "{\"type\":\"null\"}"), "more than 1000 subschemas");
        assertRefused("{\"anyOf\":[".repeat(40) + "{\"type\":\"null\"}" + "]}".repeat(40), "more than 32 choices");
    }

    /** Each level is a choice between two schemas that both lead to the next one. */
    @Test
    void choicesThatDoubleTheWaysAreRefused() {
        String levels = IntStream.range(0, 15)
                .mapToObj(
                        i -> "\"d%d\":{\"anyOf\":[{\"anyOf\":[{\"$ref\":\"#/$defs/d%d\"}]},{\"$ref\":\"#/$defs/d%d\"}]}"
                                .formatted(i, i + 1, i + 1))
                .collect(Collectors.joining(","));
        assertRefused(
                "{\"$ref\":\"#/$defs/d0\",\"$defs\":{%s,\"d15\":{\"type\":\"null\"}}}".formatted(levels),
                "too complex",
                "ways to its next character");
    }

    @Test
    void largestSchemasAreWithinTheLimitsOfGrammars() {
        String widest = properties(999, "{\"type\":\"null\"}");
        String longest = properties(
                700, "{\"type\":\"integer\",\"minimum\":-123456789012345678,\"maximum\":123456789012345678}");

        for (String schema : List.of(widest, longest)) {
            assertThatCode(() -> GrammarSyntax.check(JsonSchemaGrammar.of(schema), GrammarSyntax.Version.B4916))
                    .doesNotThrowAnyException();
        }
    }

    private static String properties(int count, String schema) {
        return "{\"properties\":{%s}}"
                .formatted(IntStream.range(0, count)
                        .mapToObj(i -> "\"p%d\":%s".formatted(i, schema))
                        .collect(Collectors.joining(",")));
    }

    private static void assertRefused(String schema, String... messages) {
        assertFails(() -> JsonSchemaGrammar.of(schema), ErrorCode.INVALID_SCHEMA, messages);
    }
}
