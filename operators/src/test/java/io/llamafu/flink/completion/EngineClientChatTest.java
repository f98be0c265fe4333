package io.llamafu.flink.completion;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.Sha256;
import io.llamafu.chat.Thinking;
import io.llamafu.engine.ModelChat;
import io.llamafu.engine.Prompt;
import io.llamafu.engine.Prompt.Part;
import io.llamafu.engine.SharedEngines;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.OnError;
import io.llamafu.flink.artifact.RemoteStore;
import io.llamafu.flink.routing.RoutedRequest;
import io.llamafu.testing.LoggedMessages;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

import static io.llamafu.testing.Failures.assertFails;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

/** What becomes of prompts and answers under a chat template. */
class EngineClientChatTest {
    private static final String TEMPLATE =
            "{% for m in messages %}{% if 'refuse me' in m.content %}{{ raise_exception('As you wish.') }}{% endif %}"
                    + "{{ '<|' + m.role + '|>' + m.content + eos_token }}{% endfor %}<|assistant|>"
                    + "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}";

    private static final ModelChat CHAT = new ModelChat(Optional.of(TEMPLATE), Map.of("eos_token", "</s>"));

    @TempDir
    private Path folder;

    private final ScriptedEngine engine = new ScriptedEngine();

    private static LlamafuOptions.Builder options() {
        return LlamafuOptions.builder().model("base.gguf").onError(OnError.EMIT);
    }

    private EngineClient open(LlamafuOptions options) {
        TaskManager taskManager = new TaskManager(folder, Optional.empty(), OptionalInt.empty());
        return EngineClient.open(
                options,
                taskManager,
                wanted -> new SharedEngines.Lease(engine, true, () -> {}),
                new UnregisteredMetricsGroup());
    }

    private static RecordQuestion question(LlamafuOptions options, String text) {
        RoutedRequest record = RoutedRequest.newBuilder()
                .setPrompt(options.promptTemplate().render(text).toString())
                .setStack("")
                .build();
        return new RecordQuestion(record, options, options.sampling());
    }

    private Prompt sent(LlamafuOptions options, String text) {
        try (EngineClient client = open(options)) {
            EngineClient.OpenRequest unused = client.ask(question(options, text));
            return engine.requests().get(engine.requests().size() - 1).prompt();
        }
    }

    @Test
    void textIsTheUsersTurnUnderTheTemplateOfTheModel() {
        engine.chat(CHAT);

        assertThat(sent(options().build(), "</s>").parts())
                .containsExactly(
                        new Part("<|user|>", true), new Part("</s>", false), new Part("</s><|assistant|>", true));
    }

    @Test
    void systemPromptAndExamplesComeBeforeIt() {
        engine.chat(CHAT);
        LlamafuOptions options = options()
                .systemPrompt("Be brief.")
                .chatExample("2+2", "4")
                .promptTemplate("Text: {text}")
                .build();

        assertThat(sent(options, "3+3"))
                .hasToString(
                        "<|system|>Be brief.</s><|user|>2+2</s><|assistant|>4</s><|user|>Text: 3+3</s><|assistant|>");
    }

    @Test
    void familyAndFileTakeThePlaceOfTheModelsTemplate() throws Exception {
        engine.chat(CHAT);
        assertThat(sent(options().chatTemplate("chatml").build(), "Hi"))
                .hasToString("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");

        String source = "Q: {{ messages[-1].content }}\nA:";
        Path file = Files.writeString(folder.resolve("qa.jinja"), source);
        RemoteStore store = RemoteStore.over(Files.createDirectories(folder.resolve("remote")));
        store.publish("qa.jinja", source.getBytes(UTF_8));
        for (String location : new String[] {
            file.toString(), file.toUri().toString(), store.uri("qa.jinja").toString()
        }) {
            LlamafuOptions options = options().chatTemplate(location).build();
            assertThat(sent(options, "Why?")).hasToString("Q: Why?\nA:");
            try (EngineClient client = open(options)) {
                assertThat(client.ask(question(options, "Why?")).templateDigest())
                        .contains(Sha256.of(source));
            }
        }
    }

    @Test
    void promptsAreSentAsTheyAreWithoutATemplate() {
        assertThat(sent(options().build(), "Hi")).isEqualTo(Prompt.text("Hi"));
        engine.chat(CHAT);
        assertThat(sent(options().chatTemplate("none").build(), "Hi")).isEqualTo(Prompt.text("Hi"));
        assertThat(sent(options().controlTokensInText(true).build(), "Hi")).isEqualTo(Prompt.withControlTokens("Hi"));
    }

    /** Written before there were chat templates: two frames would be one too many. */
    @Test
    void promptTemplateWithTurnsOfItsOwnIsLeftAlone() {
        engine.chat(CHAT);
        LlamafuOptions.Builder own = options().promptTemplate("<|user|>{text}</s><|assistant|>");

        assertThat(sent(own.build(), "Hi")).hasToString("<|user|>Hi</s><|assistant|>");
        assertThat(sent(own.chatTemplate("model").build(), "Hi"))
                .as("as it was asked for")
                .hasToString("<|user|><|user|>Hi</s><|assistant|></s><|assistant|>");
    }

    @Test
    void templateOfTheModelIsLoudInTheLog() {
        engine.chat(CHAT);
        try (LoggedMessages messages = new LoggedMessages(ChatFormats.class.getName())) {
            open(options().build()).close();
            assertThat(messages.all())
                    .singleElement()
                    .asString()
                    .contains("the user's turn", Sha256.of(TEMPLATE), "chat-template = none");
            open(options().chatTemplate("model").build()).close();
            assertThat(messages.all()).as("what was asked for is no warning").hasSize(1);
        }
    }

    private void assertRefused(LlamafuOptions options, String... message) {
        assertFails(() -> open(options), ErrorCode.CHAT_TEMPLATE_INVALID, message);
        assertThat(engine.requests()).isEmpty();
    }

    @Test
    void whatCannotBeRenderedIsRefusedWhenTheJobStarts() throws Exception {
        assertRefused(options().chatTemplate("model").build(), "has no chat template", "chatml");
        assertRefused(options().chatTemplate("/no/such.jinja").build(), "/no/such.jinja", "cannot read");
        Path binary = Files.write(folder.resolve("binary.jinja"), new byte[] {(byte) 0xc3, 0x28});
        assertRefused(options().chatTemplate(binary.toString()).build(), "no text in UTF-8");
        Path large = Files.write(folder.resolve("large.jinja"), new byte[(256 << 10) + 1]);
        assertRefused(options().chatTemplate(large.toString()).build(), "more than 262144 bytes");

        engine.chat(new ModelChat(Optional.of("{% for"), Map.of()));
        assertRefused(options().build(), "chat-template = auto", "chat-template = none");
        engine.chat(new ModelChat(Optional.of("Hello!"), Map.of()));
        assertRefused(options().build(), "leaves out the user's text");
        engine.chat(CHAT);
        assertRefused(options().systemPrompt("refuse me").build(), "As you wish.", "system-prompt");
    }

    @Test
    void systemPromptWithoutTemplateIsRefused() {
        assertFails(
                () -> open(options().systemPrompt("Be brief.").build()),
                ErrorCode.INVALID_OPTION,
                "The model has no chat template",
                "system-prompt");
    }

    @Test
    void recordThatTheTemplateRefusesIsAnErrorAndTheNextIsAnswered() {
        engine.chat(CHAT);
        LlamafuOptions options = options().build();
        try (EngineClient client = open(options)) {
            Outcome refused =
                    client.ask(question(options, "Please refuse me.")).outcome().join();
            Outcome tooLong = client.ask(question(options, "x".repeat((8 << 20) + 1)))
                    .outcome()
                    .join();
            EngineClient.OpenRequest next = client.ask(question(options, "Hi"));
            engine.answer(0, "Ho");

            assertThat(refused.error()).hasMessageContaining("As you wish.");
            assertThat(refused.error().code()).isEqualTo(ErrorCode.CHAT_TEMPLATE_FAILED);
            assertThat(tooLong.error()).extracting(LlamafuException::code).isEqualTo(ErrorCode.PROMPT_TOO_LONG);
            assertThat(next.outcome().join().completion().text()).isEqualTo("Ho");
        }
    }

    @Test
    void thinkingIsDroppedAndSwitchedOff() {
        engine.chat(CHAT);
        LlamafuOptions drop = options().thinking(Thinking.DROP).build();
        try (EngineClient client = open(drop)) {
            EngineClient.OpenRequest answered = client.ask(question(drop, "Hi"));
            engine.answer(0, "<think>\nhm\n</think>\n\nHo");
            assertThat(answered.outcome().join().completion().text()).isEqualTo("Ho");

            EngineClient.OpenRequest unfinished = client.ask(question(drop, "Hi"));
            engine.answer(1, "<think>\nhm");
            assertThat(unfinished.outcome().join().error().code()).isEqualTo(ErrorCode.ANSWER_INCOMPLETE);
        }
        assertThat(sent(options().thinking(Thinking.OFF).build(), "Hi").toString())
                .endsWith("<|assistant|><think></think>");
    }
}
