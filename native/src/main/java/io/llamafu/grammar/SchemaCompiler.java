package io.llamafu.grammar;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamWriteFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.TextNode;
import io.llamafu.LlamafuException;
import io.llamafu.Utf8;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.Set;

/** Compiles each schema that an answer can reach to one rule. */
final class SchemaCompiler {
    /** Keywords without effect. */
    private static final Set<String> ANNOTATIONS = Set.of(
            "title",
            "description",
            "default",
            "examples",
            "deprecated",
            "readOnly",
            "writeOnly",
            "$schema",
            "$comment",
            "$defs",
            "definitions");

    private static final ObjectWriter PLAIN = JsonMapper.builder()
            .enable(StreamWriteFeature.WRITE_BIGDECIMAL_AS_PLAIN)
            .build()
            .writer();

    private static final String COMMA = " \",\" ";

    private final SchemaDocument document;
    private final GrammarRules rules = new GrammarRules();
    private final Map<String, String> names = new HashMap<>();
    /** A queue rather than recursion, because chains of references have any length. */
    private final Queue<Schema> waiting = new ArrayDeque<>();

    private final RuleGraph graph = new RuleGraph();
    private final Set<String> unsupported = new LinkedHashSet<>();

    SchemaCompiler(SchemaDocument document) {
        this.document = document;
    }

    String compile() {
        rule(document.root());
        while (!waiting.isEmpty()) {
            define(waiting.remove());
        }
        if (!unsupported.isEmpty()) {
            throw document.root()
                    .invalid("these keywords cannot be enforced, or not beside the others there: %s; remove them"
                            .formatted(String.join(", ", unsupported)));
        }
        graph.check();
        String grammar = rules.toString();
        try {
            GrammarSyntax.check(grammar, GrammarSyntax.Version.B4916);
        } catch (LlamafuException e) {
            throw document.root()
                    .invalid("it makes a grammar that llama.cpp cannot follow; simplify it. " + e.sentence());
        }
        return grammar;
    }

    /** The rule name of a schema, which is queued if it has no rule yet. */
    private String rule(Schema schema) {
        Schema target = follow(schema);
        String known = names.get(target.pointer());
        if (known != null) {
            return known;
        }
        if (names.size() == JsonSchemaGrammar.MAX_SUBSCHEMAS) {
            throw document.root()
                    .invalid("it has more than %d subschemas; simplify it".formatted(JsonSchemaGrammar.MAX_SUBSCHEMAS));
        }
        String name = names.isEmpty() ? "root" : "s" + names.size();
        names.put(target.pointer(), name);
        waiting.add(target);
        return name;
    }

    /** The schema at the end of a chain of references. */
    private Schema follow(Schema schema) {
        Set<String> passed = new HashSet<>();
        Schema target = schema;
        while (target.has("$ref")) {
            if (!passed.add(target.pointer())) {
                throw target.invalid("its references lead back to itself");
            }
            allow(target, Set.of("$ref"));
            target = document.resolve(target);
        }
        return target;
    }

    /** Records the keywords that are neither allowed nor annotations. */
    private void allow(Schema schema, Set<String> keywords) {
        schema.json().fieldNames().forEachRemaining(keyword -> {
            boolean rootOnly = keyword.equals("$id") && schema.pointer().isEmpty();
            if (!keywords.contains(keyword) && !ANNOTATIONS.contains(keyword) && !rootOnly) {
                unsupported.add(schema.child(keyword).place());
            }
        });
    }

    private void define(Schema schema) {
        if (!schema.json().isObject()) {
            throw schema.invalid(
                    "it is %s, but must be an object that says what may be written".formatted(schema.json()));
        }
        String name = names.get(schema.pointer());
        Optional<List<JsonNode>> values = schema.values();
        if (values.isPresent()) {
            allow(schema, Set.of(schema.has("const") ? "const" : "enum", "type"));
            graph.document(name, schema, List.of());
            rules.addTexts(name, texts(schema, values.get()));
        } else if (schema.has("anyOf")) {
            allow(schema, Set.of("anyOf"));
            choice(name, schema, schema.list("anyOf"));
        } else if (schema.has("oneOf")) {
            allow(schema, Set.of("oneOf"));
            List<Schema> alternatives = schema.list("oneOf");
            new OneOf(this::follow).check(schema, alternatives);
            choice(name, schema, alternatives);
        } else {
            typed(name, schema);
        }
    }

    private static List<String> texts(Schema schema, List<JsonNode> values) {
        List<String> texts = new ArrayList<>();
        for (JsonNode value : values) {
            if (schema.has("type") && schema.types().stream().noneMatch(type -> type.admits(value))) {
                throw schema.invalid("the value %s is not of its type %s".formatted(value, schema.get("type")));
            }
            texts.add(written(schema, value));
        }
        return texts;
    }

    /** Numbers without exponent: 100 instead of 1E+2, which many parsers do not accept as an integer. */
    private static String written(Schema schema, JsonNode value) {
        requireFewDigits(schema, value);
        String text;
        try {
            text = PLAIN.writeValueAsString(value);
        } catch (JsonProcessingException e) {
            throw schema.invalid("the value %s cannot be written: %s".formatted(value, e.getOriginalMessage()));
        }
        Utf8.requireEncodable(text, "The text %s of the JSON schema".formatted(text));
        return text;
    }

    private static void requireFewDigits(Schema schema, JsonNode value) {
        if (value.isNumber()) {
            schema.requireFewDigits("the value", value);
        }
        value.forEach(part -> requireFewDigits(schema, part)); // the depth is within the limit of schemas
    }

    private void choice(String name, Schema schema, List<Schema> alternatives) {
        Set<String> choices = new LinkedHashSet<>();
        alternatives.forEach(alternative -> choices.add(rule(alternative)));
        graph.choice(name, schema, choices);
        rules.add(name, String.join(" | ", choices));
    }

    private void typed(String name, Schema schema) {
        int before = unsupported.size();
        allow(schema, JsonType.ALL_KEYWORDS);
        if (!schema.saysItsType() && unsupported.size() > before) {
            return; // such a keyword may have been meant as the type
        }
        Set<JsonType> types = schema.types();
        Set<String> keywords = new HashSet<>(Set.of("type"));
        types.forEach(type -> keywords.addAll(type.keywords()));
        allow(schema, keywords);

        List<String> alternatives = new ArrayList<>();
        for (JsonType type : types) {
            alternatives.add(
                    switch (type) {
                        case OBJECT -> object(name, schema);
                        case ARRAY -> array(name, schema);
                        case STRING -> string(name, schema);
                        case INTEGER -> scalar(name, schema, NumberGrammar.integers(schema));
                        case NUMBER -> scalar(name, schema, NumberGrammar.decimals(schema));
                        case BOOLEAN -> scalar(name, schema, "\"true\" | \"false\"");
                        case NULL -> scalar(name, schema, "\"null\"");
                    });
        }
        rules.add(name, String.join(" | ", alternatives));
    }

    private String scalar(String name, Schema schema, String body) {
        graph.document(name, schema, List.of());
        return body;
    }

    private String string(String name, Schema schema) {
        if (!schema.has("format")) {
            int least = schema.count("minLength").orElse(0);
            Optional<Integer> most = schema.count("maxLength");
            if (most.isPresent() && most.get() < least) {
                throw schema.invalid("minLength is %d, but maxLength is %d".formatted(least, most.get()));
            }
            return scalar(name, schema, StringGrammar.ofLength(rules, least, most));
        }
        String format = schema.text("format");
        for (String beside : List.of("minLength", "maxLength")) {
            if (schema.has(beside)) {
                unsupported.add(schema.child(beside).place());
            }
        }
        if (!StringGrammar.FORMATS.contains(format)) {
            unsupported.add("%s (%s)".formatted(schema.child("format").place(), format));
            return scalar(name, schema, "\"\"");
        }
        return scalar(name, schema, StringGrammar.ofFormat(rules, format));
    }

    /**
     * The properties in their order. The rule of each property continues with the properties after it; before an
     * optional one there is a choice to skip it.
     */
    private String object(String name, Schema schema) {
        if (!schema.has("properties")) {
            throw schema.invalid("it names no properties, so that any object would do; name them");
        }
        if (schema.has("additionalProperties")
                && !schema.get("additionalProperties").isBoolean()) {
            unsupported.add(schema.child("additionalProperties").place());
        }
        Map<String, String> members = new LinkedHashMap<>();
        schema.properties().forEach((property, of) -> members.put(property, rule(of)));
        Set<String> required = schema.required();
        for (String property : required) {
            if (!members.containsKey(property)) {
                throw schema.invalid("it requires '%s', which properties does not name".formatted(property));
            }
        }
        graph.document(name, schema, required.stream().map(members::get).toList());

        List<String> properties = List.copyOf(members.keySet());
        String rest = "";
        boolean restRequired = false;
        for (int i = properties.size() - 1; i >= 0; i--) {
            String property = properties.get(i);
            String member =
                    Gbnf.literal(written(schema, TextNode.valueOf(property)) + ":") + " " + members.get(property);
            String more = rest.isEmpty() ? "" : restRequired ? "\",\" " + rest : Gbnf.optional("\",\" " + rest);
            boolean skippable = !required.contains(property) && !rest.isEmpty();
            String rule = name + "-" + (i + 1);
            rules.add(rule, member + " " + more + (skippable ? " | " + rest : ""));
            rest = rule;
            restRequired |= required.contains(property);
        }
        return rest.isEmpty() ? "\"{}\"" : "\"{\" %s \"}\"".formatted(restRequired ? rest : Gbnf.optional(rest));
    }

    /** All of {@code prefixItems} first, then the items. */
    private String array(String name, Schema schema) {
        List<String> prefix = new ArrayList<>();
        if (schema.has("prefixItems")) {
            schema.list("prefixItems").forEach(item -> prefix.add(rule(item)));
        }
        boolean closed = !prefix.isEmpty() && (!schema.has("items") || isFalse(schema.get("items")));
        if (!closed && (!schema.has("items") || !schema.get("items").isObject())) {
            throw schema.invalid("it does not say what its items are; let items be one schema");
        }
        int least = Math.max(schema.count("minItems").orElse(0), prefix.size());
        int most = schema.count("maxItems").orElse(Integer.MAX_VALUE);
        most = closed ? Math.min(most, prefix.size()) : most;
        if (least > most) {
            throw schema.invalid("its items are at least %d, but at most %d".formatted(least, most));
        }
        if (most == prefix.size()) {
            graph.document(name, schema, prefix);
            return "\"[\" %s \"]\"".formatted(String.join(COMMA, prefix));
        }
        String item = rule(schema.child("items"));
        String more = name + "-more";
        rules.add(more, "\",\" " + item);
        List<String> first = prefix.isEmpty() ? List.of(item) : prefix;
        int moreLeast = Math.max(0, least - first.size());
        String items = String.join(COMMA, first) + " "
                + (most == Integer.MAX_VALUE
                        ? Gbnf.repeat(more, moreLeast)
                        : Gbnf.repeat(more, moreLeast, most - first.size()));
        List<String> needed = new ArrayList<>(prefix);
        if (least > prefix.size()) {
            needed.add(item);
        }
        graph.document(name, schema, needed);
        return "\"[\" %s \"]\"".formatted(least == 0 ? Gbnf.optional(items) : items);
    }

    private static boolean isFalse(JsonNode node) {
        return node.isBoolean() && !node.booleanValue();
    }
}
