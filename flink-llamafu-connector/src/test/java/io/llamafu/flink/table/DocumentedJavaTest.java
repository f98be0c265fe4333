package io.llamafu.flink.table;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import javax.tools.ToolProvider;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

/** The Java of all pages compiles. A snippet is a class, statements, or calls of a builder. */
class DocumentedJavaTest {
    /** What snippets use without saying where it comes from. */
    private static final String FRAME =
            """
            import io.llamafu.LlamafuException;
            import io.llamafu.adapter.*;
            import io.llamafu.engine.InferenceEngine;
            import io.llamafu.engine.SamplingOptions;
            import io.llamafu.flink.*;
            import io.llamafu.flink.table.*;
            import io.llamafu.gguf.*;
            import java.nio.file.Path;
            import java.util.List;
            import java.util.Map;
            import java.util.concurrent.CompletionException;
            import org.apache.flink.api.connector.sink2.Sink;
            import org.apache.flink.streaming.api.datastream.DataStream;
            import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
            import org.apache.flink.table.api.DataTypes;
            import org.apache.flink.table.api.ModelDescriptor;
            import org.apache.flink.table.api.Schema;
            import org.apache.flink.table.api.Table;
            import org.apache.flink.table.api.TableEnvironment;
            import org.apache.flink.types.ColumnList;
            import static org.apache.flink.table.api.Expressions.*;

            abstract class %s {
                record Ticket(String id, String tenant, String text, float strictness) {}
                record Draft(String text, float creativity, float expertise) {}
                record Text(String domain, String text) {}
                record Message(String customer, String text) {}
                DataStream<Ticket> tickets;
                DataStream<Draft> drafts;
                DataStream<Text> texts;
                DataStream<Message> messages;
                DataStream<AdapterRoute> routes, routeChanges, languages;
                DataStream<RouteRule> routeRules;
                Sink<Answered<Ticket>> answers, deadLetters;
                Map<String, String> questions;
                Map<String, List<String>> labels;
                LlamafuOptions options, largeOptions;
                InferenceEngine engine;
                TableEnvironment env;

                void snippet() throws Exception {
            %s
                }
            }
            """;

    @TempDir
    Path folder;

    @Test
    void snippetsCompile() throws IOException {
        List<Snippet> snippets = Snippet.ofAllPages("java");
        assertThat(snippets).hasSizeGreaterThanOrEqualTo(14);
        List<String> arguments = new ArrayList<>(List.of(
                "-proc:none",
                "-d",
                folder.resolve("classes").toString(),
                "-cp",
                System.getProperty("java.class.path")));
        for (Snippet snippet : snippets) {
            arguments.add(write(snippet).toString());
        }

        ByteArrayOutputStream messages = new ByteArrayOutputStream();
        int result =
                ToolProvider.getSystemJavaCompiler().run(null, messages, messages, arguments.toArray(new String[0]));

        assertThat(result).as(messages.toString(UTF_8)).isZero();
    }

    /** The name of the file says the page and the line, for the messages of the compiler. */
    private Path write(Snippet snippet) throws IOException {
        String name = snippet.page().toString().replaceAll("[^A-Za-z]", "_") + "_" + snippet.line();
        Path source = Files.createDirectories(folder.resolve(name)).resolve(name + ".java");
        String text = snippet.text();
        if (text.contains("public class ")) {
            source = source.resolveSibling(text.replaceAll("(?s).*?public class (\\w+).*", "$1") + ".java");
            return Files.writeString(source, text);
        }
        String statements = text.startsWith(".")
                ? "Llamafu.complete(tickets)"
                        + text.replaceAll("(?m)\\s*//.*$", "").stripTrailing() + ";"
                : text;
        return Files.writeString(source, FRAME.formatted(name, statements));
    }
}
