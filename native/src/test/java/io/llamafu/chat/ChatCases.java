package io.llamafu.chat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.llamafu.testing.Programs;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

import static java.nio.charset.StandardCharsets.UTF_8;

/** The templates of the pinned llama.cpp, and what transformers renders with them: {@code examples/parity/chat_templates.py}. */
final class ChatCases {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String LITERAL = "\"((?:[^\"\\\\]|\\\\.)*+)\"";
    private static final Pattern TEST_CASE =
            Pattern.compile("/\\* \\.name= \\*/ " + LITERAL + ",\\s*/\\* \\.template_str= \\*/ (?:U8C\\()?" + LITERAL);

    private ChatCases() {}

    /**
     * What transformers renders with a template.
     *
     * @param name of the template
     * @param sourceDigest SHA-256 of the template
     * @param tokens by their names in templates
     * @param thinking the variables of that name, if they are set
     * @param first the prompt of the first conversation; for some families only
     * @param prompts beginnings of the SHA-256 of the prompts, in the order of the conversations; empty for those that the
     *     template refuses
     */
    record Case(
            String name,
            String sourceDigest,
            Map<String, String> tokens,
            Optional<Boolean> thinking,
            Optional<String> first,
            List<Optional<String>> prompts) {

        ChatVariables variables() {
            return new ChatVariables(true, thinking, ChatVariables.DEFAULT_DATE);
        }

        @Override
        public String toString() {
            return name + thinking.map(on -> on ? " thinking" : " not thinking").orElse("");
        }
    }

    static List<Case> cases() {
        List<Case> cases = new ArrayList<>();
        for (JsonNode line : lines("chat-templates.jsonl")) {
            List<Optional<String>> prompts = new ArrayList<>();
            line.get("prompts").forEach(prompt -> prompts.add(text(prompt)));
            cases.add(new Case(
                    line.get("name").asText(),
                    line.get("template").asText(),
                    Map.of(
                            "bos_token",
                            line.get("bos").asText(),
                            "eos_token",
                            line.get("eos").asText()),
                    line.get("thinking").isNull()
                            ? Optional.empty()
                            : Optional.of(line.get("thinking").asBoolean()),
                    Optional.ofNullable(line.get("first")).flatMap(ChatCases::text),
                    prompts));
        }
        return cases;
    }

    private static Optional<String> text(JsonNode node) {
        return node.isNull() ? Optional.empty() : Optional.of(node.asText());
    }

    static List<List<ChatMessage>> conversations() {
        List<List<ChatMessage>> conversations = new ArrayList<>();
        for (JsonNode line : lines("chat-conversations.jsonl")) {
            List<ChatMessage> turns = new ArrayList<>();
            line.forEach(turn ->
                    turns.add(new ChatMessage(turn.get(0).asText(), turn.get(1).asText())));
            conversations.add(turns);
        }
        return conversations;
    }

    private static List<JsonNode> lines(String resource) {
        List<JsonNode> nodes = new ArrayList<>();
        try (BufferedReader reader =
                new BufferedReader(new InputStreamReader(ChatCases.class.getResourceAsStream("/" + resource), UTF_8))) {
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                nodes.add(JSON.readTree(line));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return nodes;
    }

    /** The templates of the pinned source by name: files, and string literals of a test. */
    static Map<String, String> templates() throws IOException, InterruptedException {
        Path source = Path.of(Programs.run("./fetch-llama-cpp.sh").strip());
        Map<String, String> templates = new TreeMap<>();
        TEST_CASE
                .matcher(Files.readString(source.resolve("tests/test-chat-template.cpp")))
                .results()
                .forEach(found -> templates.put(found.group(1), unescaped(found.group(2))));
        try (Stream<Path> files = Files.list(source.resolve("models/templates"))) {
            for (Path file :
                    files.filter(file -> file.toString().endsWith(".jinja")).toList()) {
                templates.put(file.getFileName().toString().replace(".jinja", ""), Files.readString(file));
            }
        }
        return templates;
    }

    /** The text of a C++ literal. */
    private static String unescaped(String literal) {
        return Pattern.compile("\\\\(.)")
                .matcher(literal)
                .replaceAll(escape -> Matcher.quoteReplacement(escape.group(1).equals("n") ? "\n" : escape.group(1)));
    }
}
