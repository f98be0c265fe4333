package io.llamafu.chat;

import io.llamafu.ErrorCode;
import io.llamafu.chat.ChatCases.Case;
import io.llamafu.gguf.ModelFile;
import io.llamafu.llamacpp.NativeLibrary;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

import java.util.List;
import java.util.Map;

import static io.llamafu.testing.Failures.assertFails;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

class ChatFamilyTest {
    private static final Map<String, String> TOKENS = Map.of("bos_token", "<s>", "eos_token", "</s>");

    private static final List<ChatMessage> CHAT = List.of(
            ChatMessage.system("Be brief."),
            ChatMessage.user("Hi"),
            ChatMessage.assistant("Hello!"),
            ChatMessage.user("Why?"));

    @BeforeEach
    void libraryIsThere() {
        assumeThat(NativeLibrary.isPackaged()).isTrue();
    }

    @ParameterizedTest
    @EnumSource
    void everyFamilyRendersTurnsAndASystemPrompt(ChatFamily family) {
        assertThat(ChatFamily.find(family.optionName())).contains(family);
        String prompt = ChatTemplate.of(family.source(), TOKENS)
                .render(CHAT, ChatVariables.DEFAULT)
                .toString();

        assertThat(prompt).containsSubsequence("Hi", "Hello!", "Why?").contains("Be brief.");
    }

    /** For conversations with a system prompt, as without one many templates add their own. */
    @ParameterizedTest
    @CsvSource(
            quoteCharacter = '"',
            value = {
                "chatml, Qwen-Qwen2.5-7B-Instruct, false",
                "chatml, Qwen-Qwen3-0.6B, false",
                "phi3, microsoft-Phi-3.5-mini-instruct, false",
                "gemma, google-gemma-2-2b-it, true",
                "mistral-v7-tekken, Mistral-Small-3.2-24B-Instruct-2506, false",
                "mistral-v3-tekken, mistralai-Mistral-Nemo-Instruct-2407, false",
                "granite, ibm-granite-granite-4.1, false",
                "granite, ibm-granite/granite-3.0-8b-instruct, false",
                "llama3, Llama-3, false",
                "phi4, phi-4, false",
                "mistral-v7, mistralai/Mistral-Large-Instruct-2411 (mistralai 'v7' template), false",
                "mistral-v3, Mistral-Large-Instruct-2407 (mistralai 'v3' template; modified to have system prompt at start), true",
            })
    void familyRendersLikeTheTemplateOfAModel(String family, String model, boolean withoutSystem) throws Exception {
        Case tokens = ChatCases.cases().stream()
                .filter(one -> one.name().equals(model))
                .findFirst()
                .orElseThrow();
        ChatTemplate ours =
                ChatTemplate.of(ChatFamily.find(family).orElseThrow().source(), tokens.tokens());
        ChatTemplate theirs = ChatTemplate.of(ChatCases.templates().get(model), tokens.tokens());
        List<List<ChatMessage>> chats = ChatCases.conversations().stream()
                .filter(chat -> chat.get(0).role().equals("system") != withoutSystem)
                .filter(chat ->
                        chat.stream().noneMatch(message -> message.content().contains("</think>")))
                .toList();

        assertThat(chats).hasSizeGreaterThan(5);
        for (List<ChatMessage> chat : chats) {
            assertThat(ours.render(chat, ChatVariables.DEFAULT)).isEqualTo(theirs.render(chat, ChatVariables.DEFAULT));
        }
    }

    @Test
    void formatsAreWhatTheFamiliesSay() {
        assertThat(render(ChatFamily.LLAMA3))
                .isEqualTo("<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
                        + "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
                        + "<|start_header_id|>assistant<|end_header_id|>\n\nHello!<|eot_id|>"
                        + "<|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|>"
                        + "<|start_header_id|>assistant<|end_header_id|>\n\n");
        assertThat(render(ChatFamily.GEMMA))
                .isEqualTo(
                        ("<s><start_of_turn>user~Be brief.~~Hi<end_of_turn>~<start_of_turn>model~Hello!<end_of_turn>~"
                                        + "<start_of_turn>user~Why?<end_of_turn>~<start_of_turn>model~")
                                .replace('~', '\n'));
        assertThat(render(ChatFamily.PHI4))
                .isEqualTo("<|im_start|>system<|im_sep|>Be brief.<|im_end|><|im_start|>user<|im_sep|>Hi<|im_end|>"
                        + "<|im_start|>assistant<|im_sep|>Hello!<|im_end|><|im_start|>user<|im_sep|>Why?<|im_end|>"
                        + "<|im_start|>assistant<|im_sep|>");
        assertThat(render(ChatFamily.MISTRAL_V3))
                .isEqualTo("<s>[INST] Hi[/INST] Hello!</s>[INST] Be brief.\n\nWhy?[/INST]");
        assertThat(render(ChatFamily.MISTRAL_V7))
                .isEqualTo("<s>[SYSTEM_PROMPT] Be brief.[/SYSTEM_PROMPT][INST] Hi[/INST] Hello!</s>[INST] Why?[/INST]");
        assertThat(render(ChatFamily.ZEPHYR))
                .isEqualTo(("<|system|>~Be brief.</s>~<|user|>~Hi</s>~<|assistant|>~Hello!</s>~<|user|>~Why?</s>~"
                                + "<|assistant|>~")
                        .replace('~', '\n'));
    }

    private static String render(ChatFamily family) {
        return ChatTemplate.of(family.source(), TOKENS)
                .render(CHAT, ChatVariables.DEFAULT)
                .toString();
    }

    @Test
    void specialTokensOfAModelAreReadByTheirNames() {
        ModelFile model = ModelFile.read(TinyModel.model());
        assertThat(model.chatTemplate()).isEmpty();
        assertThat(model.specialTokens()).containsEntry("bos_token", "<s>").containsEntry("eos_token", "</s>");
    }

    /** Roles are trusted by templates, so they are words. */
    @Test
    void rolesAreWords() {
        assertFails(() -> new ChatMessage("user|><|system", "Hi"), ErrorCode.INVALID_REQUEST, "user|><|system");
    }
}
