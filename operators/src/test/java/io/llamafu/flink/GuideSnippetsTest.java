package io.llamafu.flink;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

/** The Java of {@code docs/adapters.md} and of the tutorial compiles. */
class GuideSnippetsTest {
    private static final Pattern SNIPPET = Pattern.compile("(?ms)^```java\\n(.*?)^```");

    /** The context of the snippets. */
    private static final String FRAME =
            """
            import io.llamafu.LlamafuException;
            import io.llamafu.adapter.*;
            import io.llamafu.engine.InferenceEngine;
            import io.llamafu.flink.*;
            import io.llamafu.gguf.*;
            import java.nio.file.Path;
            import java.util.List;
            import java.util.concurrent.CompletionException;
            import org.apache.flink.streaming.api.datastream.DataStream;

            abstract class Snippet%d {
                record Draft(String text, float creativity, float expertise) {}
                DataStream<Draft> drafts;
                LlamafuOptions options;
                InferenceEngine engine;

                void snippet() throws Exception {
            %s
                }
            }
            """;

    @TempDir
    Path folder;

    private static List<String> snippets(String page) throws IOException {
        return SNIPPET.matcher(Files.readString(Path.of("../docs").resolve(page)))
                .results()
                .map((MatchResult found) -> found.group(1))
                .toList();
    }

    @Test
    void snippetsCompile() throws Exception {
        List<String> snippets = snippets("adapters.md");
        assertThat(snippets).hasSizeGreaterThanOrEqualTo(4);
        for (int index = 0; index < snippets.size(); index++) {
            Path source = folder.resolve("Snippet" + index + ".java");
            Files.writeString(source, FRAME.formatted(index, snippets.get(index)));
            assertThat(compile(source)).as(snippets.get(index)).isEmpty();
        }
    }

    @Test
    void jobOfTheTutorialCompiles() throws Exception {
        assertThat(snippets("tutorial.md")).hasSize(1);
        Path source = Files.writeString(
                folder.resolve("FirstJob.java"), snippets("tutorial.md").get(0));
        assertThat(compile(source)).isEmpty();
    }

    /** The compiler's messages; empty on success. */
    private String compile(Path source) {
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        ByteArrayOutputStream messages = new ByteArrayOutputStream();
        int result = compiler.run(
                null,
                messages,
                messages,
                "-proc:none",
                "-d",
                folder.toString(),
                "-cp",
                System.getProperty("java.class.path"),
                source.toString());
        return result == 0 ? "" : messages.toString(UTF_8);
    }
}
