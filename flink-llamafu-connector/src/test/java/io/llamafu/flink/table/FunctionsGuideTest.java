package io.llamafu.flink.table;

import org.junit.jupiter.api.Test;

import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

/** The table of functions in {@code docs/sql.md} has the functions of the module, with the arguments that they take. */
class FunctionsGuideTest {
    private static final Pattern ROW = Pattern.compile("(?m)^\\| `(LLM_[A-Z_]+)\\(([^`]*)\\)` \\|");

    @Test
    void everyFunctionHasARowWithItsArguments() throws Exception {
        Map<String, String> documented = new LinkedHashMap<>();
        Matcher row = ROW.matcher(Files.readString(Path.of("../docs/sql.md")));
        while (row.find()) {
            documented.put(row.group(1), row.group(2));
        }

        assertThat(documented)
                .containsOnlyKeys(Arrays.stream(LlmFunctionName.values())
                        .map(LlmFunctionName::name)
                        .toList());
        for (Map.Entry<String, String> function : documented.entrySet()) {
            assertThat(takes(function.getKey())).as(function.toString()).isEqualTo(counts(function.getValue()));
        }
    }

    /** The possible numbers of arguments of {@code a, b [, c [, d]]}. */
    private static List<Integer> counts(String arguments) {
        int most = arguments.isEmpty() ? 0 : arguments.split(",").length;
        int optional =
                (int) arguments.chars().filter(character -> character == '[').count();
        return IntStream.rangeClosed(most - optional, most).boxed().toList();
    }

    private static List<Integer> takes(String function) throws ClassNotFoundException {
        String simple = Arrays.stream(function.split("_"))
                .map(word -> word.charAt(0) + word.substring(1).toLowerCase(Locale.ROOT))
                .collect(Collectors.joining());
        return Arrays.stream(Class.forName("io.llamafu.flink.table." + simple).getMethods())
                .filter(method -> method.getName().equals("eval"))
                .map(Method::getParameterCount)
                .distinct()
                .sorted()
                .toList();
    }
}
