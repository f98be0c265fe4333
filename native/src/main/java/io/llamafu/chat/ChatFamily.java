package io.llamafu.chat;

import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

import static java.nio.charset.StandardCharsets.UTF_8;

/** The formats of well-known models, as short templates of our own, for models that bring none. */
public enum ChatFamily {
    /** Qwen, SmolLM, Hermes and many others. */
    CHATML,
    /** Llama 3, without the dates that later templates of it print. */
    LLAMA3,
    /** Gemma 1 to 3. The system prompt begins the first turn of the user. */
    GEMMA,
    PHI3,
    PHI4,
    /** Mistral 7B v0.3 and others of its tokenizer. The system prompt begins the last turn of the user. */
    MISTRAL_V3,
    /** Mistral Nemo: like {@link #MISTRAL_V3}, without blanks. */
    MISTRAL_V3_TEKKEN,
    MISTRAL_V7,
    /** Mistral Small: like {@link #MISTRAL_V7}, without blanks. */
    MISTRAL_V7_TEKKEN,
    /** Granite 3 and 4. */
    GRANITE,
    /** Zephyr and TinyLlama. */
    ZEPHYR;

    /** The name in options, such as {@code mistral-v3}. */
    public String optionName() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    public static Optional<ChatFamily> find(String optionName) {
        return Arrays.stream(values())
                .filter(family -> family.optionName().equals(optionName))
                .findFirst();
    }

    public static List<String> optionNames() {
        return Arrays.stream(values()).map(ChatFamily::optionName).toList();
    }

    /** The template. */
    public String source() {
        String resource = optionName() + ".jinja";
        try (InputStream in = ChatFamily.class.getResourceAsStream(resource)) {
            if (in == null) {
                throw new IllegalStateException("The jar lacks the chat template %s.".formatted(resource));
            }
            return new String(in.readAllBytes(), UTF_8);
        } catch (IOException e) {
            throw new IllegalStateException("The chat template %s cannot be read.".formatted(resource), e);
        }
    }
}
