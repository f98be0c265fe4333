package io.llamafu.flink.routing;

import io.llamafu.engine.Prompt;
import io.llamafu.engine.Prompt.Part;
import io.llamafu.flink.PromptTemplate;
import org.apache.flink.annotation.Internal;

import java.util.ArrayList;
import java.util.List;

/**
 * A {@link Prompt} in a {@link RoutedRequest}: the text, and the lengths of its parts, alternately without and with control
 * tokens.
 */
@Internal
public final class PromptParts {
    private PromptParts() {}

    static void write(Prompt prompt, RoutedRequest request) {
        List<Integer> lengths = new ArrayList<>();
        if (!prompt.isEmpty() && prompt.parts().get(0).controlTokens()) {
            lengths.add(0);
        }
        prompt.parts().forEach(part -> lengths.add(part.text().length()));
        request.setPrompt(prompt.toString());
        request.setPromptParts(lengths);
    }

    /**
     * The prompt of a request.
     *
     * @param template of the job. Earlier versions of Llamafu kept no lengths: such a prompt has the parts that the template
     *     gives it, and if the template has changed since then, no control tokens
     */
    public static Prompt read(RoutedRequest request, PromptTemplate template) {
        String text = request.getPrompt();
        if (request.getPromptParts() == null) {
            return template.parse(text).orElseGet(() -> Prompt.text(text));
        }
        List<Part> parts = new ArrayList<>();
        boolean controlTokens = false;
        int begin = 0;
        for (int length : request.getPromptParts()) {
            parts.add(new Part(text.substring(begin, begin + length), controlTokens));
            controlTokens = !controlTokens;
            begin += length;
        }
        return new Prompt(parts);
    }
}
