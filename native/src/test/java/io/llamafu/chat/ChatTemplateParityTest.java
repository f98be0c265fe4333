package io.llamafu.chat;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.Sha256;
import io.llamafu.chat.ChatCases.Case;
import io.llamafu.gguf.ModelFile;
import io.llamafu.llamacpp.NativeLibrary;
import io.llamafu.testing.RealModels;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

/** What we render is what transformers renders, byte for byte. */
class ChatTemplateParityTest {
    private static final int CONVERSATIONS = 30;

    /** They need variables that nobody sets: transformers refuses them, llama.cpp takes what is undefined for nothing. */
    private static final Set<String> DIFFERENT =
            Set.of("ai-sage/GigaChat-20B-A3B-instruct", "fireworks-ai-llama-3-firefunction-v2");

    private final List<List<ChatMessage>> conversations = ChatCases.conversations();

    @BeforeEach
    void libraryIsThere() {
        assumeThat(NativeLibrary.isPackaged()).isTrue();
    }

    @Test
    void templatesOfThePinnedSourceRenderAsTransformersDoes() throws Exception {
        Map<String, String> templates = ChatCases.templates();
        List<String> differences = new ArrayList<>();
        Set<String> different = new TreeSet<>();
        int compared = 0;
        for (Case expected : ChatCases.cases()) {
            String source = templates.get(expected.name());
            if (source == null) {
                continue; // of a GGUF
            }
            assertThat(Sha256.of(source)).as(expected.name()).isEqualTo(expected.sourceDigest());
            List<String> found = differences(source, expected);
            if (!found.isEmpty()) {
                different.add(expected.name());
                differences.addAll(found);
            }
            compared += CONVERSATIONS;
        }
        System.out.printf("%d prompts of %d templates compared with transformers%n", compared, templates.size());
        assertThat(different).as(String.join("\n", differences)).isEqualTo(DIFFERENT);
    }

    @Test
    void templateOfSmolLm2RendersAsTransformersDoes() {
        ModelFile model = ModelFile.read(RealModels.smolLm2());
        Case expected = ChatCases.cases().stream()
                .filter(one -> one.name().startsWith("SmolLM2"))
                .findFirst()
                .orElseThrow();

        assertThat(model.specialTokens()).containsAllEntriesOf(expected.tokens());
        assertThat(differences(model.chatTemplate().orElseThrow(), expected)).isEmpty();
    }

    /** One line for each conversation whose prompt is another one. */
    private List<String> differences(String source, Case expected) {
        List<String> differences = new ArrayList<>();
        assertThat(conversations).hasSize(CONVERSATIONS);
        ChatTemplate template;
        try {
            template = ChatTemplate.of(source, expected.tokens());
        } catch (LlamafuException e) {
            boolean refusesAll = expected.prompts().stream().allMatch(Optional::isEmpty);
            return refusesAll && e.code() == ErrorCode.CHAT_TEMPLATE_INVALID
                    ? List.of()
                    : List.of("%s: %s".formatted(expected, e.getMessage()));
        }
        for (int i = 0; i < CONVERSATIONS; i++) {
            String prompt;
            try {
                prompt = template.render(conversations.get(i), expected.variables())
                        .toString();
            } catch (LlamafuException e) {
                if (expected.prompts().get(i).isPresent()) {
                    differences.add("%s, conversation %d: %s".formatted(expected, i, e.getMessage()));
                }
                continue;
            }
            if (i == 0 && expected.first().isPresent()) {
                assertThat(prompt)
                        .as(expected.toString())
                        .isEqualTo(expected.first().get());
            }
            String digest = Sha256.of(prompt).substring(0, 16);
            if (!expected.prompts().get(i).equals(Optional.of(digest))) {
                differences.add("%s, conversation %d: %s".formatted(expected, i, prompt.replace("\n", "\\n")));
            }
        }
        return differences;
    }
}
