package io.llamafu.flink.table;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.flink.LlamafuConfigOptions;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.OnError;
import org.junit.jupiter.api.Test;

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class CallOptionsTest {
    private static final Map<String, String> BASE = Map.of("model", "base.gguf", "timeout", "30 s", "max-tokens", "9");

    private static CallOptions options(List<String> columns, Duration longest) {
        return new CallOptions(
                "ASK",
                BASE,
                columns,
                CallOptions.keys(LlamafuConfigOptions.ofACall(), Set.of(LlamafuConfigOptions.STOP)),
                Set.of(OnError.FAIL, OnError.NULL),
                longest);
    }

    private static CallOptions options() {
        return options(List.of(), Duration.ofHours(1));
    }

    @Test
    void callChoosesAChatTemplateByNameAndNeverAFile() {
        CallOptions options = options();

        assertThat(options.settings(Map.of("chat-template", "chatml"))
                        .options()
                        .chat()
                        .template())
                .isEqualTo("chatml");
        for (String file : List.of("/etc/passwd", "s3://bucket/chat.jinja", "chat.jinja")) {
            assertThatThrownBy(() -> options.settings(Map.of("chat-template", file)))
                    .hasMessageContaining("cannot set chat-template to '%s'".formatted(file));
        }
    }

    @Test
    void callChangesItsOwnSettingsOnly() {
        CallOptions options = options();

        CallSettings changed = options.settings(Map.of("max-tokens", "3", "temperature", "0.5", "timeout", "2 s"));
        assertThat(changed.options().maxTokens()).isEqualTo(3);
        assertThat(changed.sampling().temperature()).isEqualTo(0.5f);
        assertThat(changed.timeout()).isEqualTo(Duration.ofSeconds(2));
        assertThat(options.settings().options().maxTokens()).isEqualTo(9);
    }

    @Test
    void stopStringsOfASessionHoldAsTheyAreWritten() {
        assertThat(stop("\nUser:")).containsExactly("\nUser:");
        assertThat(stop("- a;\n")).containsExactly("- a", "\n");
        assertThat(stop("[\"[INST]\", \" a;b\"]")).containsExactly("[INST]", " a;b");
        assertThatThrownBy(() -> stop("[INST]")).hasMessageContaining("JSON array");
    }

    private static List<String> stop(String written) {
        return LlamafuOptions.fromMap(Map.of("model", "base.gguf", "stop", written))
                .stop();
    }

    @Test
    void recordIsGivenUpBeforeFlinkDoes() {
        Duration longest = CallOptions.before(Duration.ofSeconds(20));

        assertThat(longest).isEqualTo(Duration.ofSeconds(18));
        assertThat(options(List.of(), longest).settings().timeout()).isEqualTo(longest);
        assertThat(options(List.of(), longest)
                        .settings(Map.of("timeout", "1 h"))
                        .timeout())
                .isEqualTo(longest);
    }

    @Test
    void callThatChangesWhatItMayNotIsRefusedWithTheListOfWhatItMay() {
        for (String key : List.of("model", "adapters", "engine", "stop", "max-token")) {
            assertInvalid(
                    Map.of(key, "x"),
                    "'" + key + "'",
                    "It can set: ",
                    "grammar, json-schema, labels, max-tokens, min-confidence, min-p");
        }
        assertInvalid(Map.of("on-error", "emit"), "on-error is 'emit'", "It can be: fail, null");
        assertInvalid(Map.of("max-tokens", "many"), "max-tokens", "many");
        Map<String, String> withNull = new HashMap<>();
        withNull.put("seed", null);
        assertInvalid(withNull, "NULL value of 'seed'");
    }

    private static void assertInvalid(Map<String, String> changes, String... contents) {
        assertThatThrownBy(() -> options().settings(changes))
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_OPTION))
                .hasMessageContainingAll(contents);
    }

    @Test
    void oneColumnIsThePromptAndSeveralNeedATemplate() {
        assertThat(options(List.of("note"), Duration.ofHours(1))
                        .settings()
                        .template()
                        .render(List.of("x")))
                .hasToString("x");
        assertThatThrownBy(() ->
                        options(List.of("head", "tail"), Duration.ofHours(1)).settings())
                .hasMessageContainingAll("'prompt-template' is missing", "{head} and {tail}");
    }
}
