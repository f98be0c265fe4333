package io.llamafu.chat;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.llamacpp.NativeLibrary;
import io.llamafu.llamacpp.OwnJvm;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import static io.llamafu.testing.Failures.assertFails;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

/** A template that loops, nests or grows without end is an error, and the process lives. */
class ChatTemplateBoundsTest {
    private static final String SHOW = "{{ messages[0].content }}";
    /** Of the process, 180 MB of which are the JVM's when it starts. The peak is 693 MB on Java 17, and 750 MB on Java 25. */
    private static final long MOST_RESIDENT_BYTES = 800L << 20;

    @BeforeEach
    void libraryIsThere() {
        assumeThat(NativeLibrary.isPackaged()).isTrue();
    }

    private static Map<String, String> hostileTemplates() {
        Map<String, String> templates = new LinkedHashMap<>();
        templates.put("a long range", "{% for i in range(10**9) %}{% endfor %}".replace("10**9", "1000000000"));
        templates.put(
                "the longest range", "{% for i in range(0, 9223372036854775807, 4611686018427387904) %}{% endfor %}");
        templates.put("nested loops", "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}");
        templates.put(
                "doubling",
                "{% set n = namespace(t='x') %}{% for i in range(99) %}{% set n.t = n.t + n.t %}{% endfor %}{{ n.t }}");
        templates.put("repetition", "{{ 'x' * 1000000000000 }}");
        templates.put("repetition of nothing", "{% set e %}{% endset %}{{ e * 9000000000000000000 }}");
        templates.put("indentation", "{{ 'a\nb' | indent(2000000000) }}{{ [1] | tojson(indent=2000000000) }}");
        templates.put("many replacements", "{% set t = 'ab' * 100000 %}{{ t | replace('a', t) }}");
        templates.put("parentheses", "{{ " + "(".repeat(100_000) + "1" + ")".repeat(100_000) + " }}");
        templates.put("open parentheses", "{{ " + "(".repeat(100_000));
        templates.put("brackets", "{{ " + "[".repeat(100_000));
        templates.put("braces", "{{ " + "{1:".repeat(80_000));
        templates.put("not", "{{ " + "not ".repeat(60_000) + "1 }}");
        templates.put("minus", "{{ " + "- ".repeat(100_000) + "1 }}");
        templates.put("sums", "{{ 1" + "+1".repeat(100_000) + " }}");
        templates.put("ternaries", "{{ " + "1 if 0 else ".repeat(20_000) + "1 }}");
        templates.put("open statements", "{% if 1 %}".repeat(25_000));
        templates.put("branches", "{% if 0 %}" + "{% elif 0 %}".repeat(20_000) + "{% endif %}");
        templates.put("blocks that look like assignments", "{% set f(a=1) %}".repeat(16_000));
        templates.put("recursion", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}");
        templates.put("recursion that grows", "{% macro m(t) %}{{ m(t + t) }}{{ m(t) }}{% endmacro %}{{ m('x') }}");
        templates.put(
                "recursion by a caller",
                "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}");
        templates.put(
                "deep values",
                "{% set n = namespace(t=[]) %}{% for i in range(9000) %}{% for j in range(9) %}{% set n.t = [n.t] %}{% endfor %}{% endfor %}{{ n.t }}{{ n.t | tojson }}");
        templates.put(
                "wide values",
                "{% set n = namespace(t=(1, 1)) %}{% for i in range(60) %}{% set n.t = (n.t, n.t) %}{% endfor %}{{ {n.t: 1} }}");
        templates.put(
                "wide values in a text",
                "{% set n = namespace(t=[]) %}{% for i in range(60) %}{% set n.t = [n.t, n.t] %}{% endfor %}{{ n.t ~ '' }}");
        templates.put(
                "search",
                "{% set h = 'a' * 3000000 %}{% set s = 'a' * 1000000 + 'b' %}{% for i in range(9) %}{{ s in h }}{% endfor %}");
        templates.put("search in an array", "{% set r = range(150000) %}" + "{{ 'x' in r }}".repeat(15_000));
        templates.put("search in arrays", "{% set r = range(150000) %}{{ r | select('in', r[75000:]) | length }}");
        templates.put("extremes", "{% set r = range(150000) %}" + "{{ r | max }}{{ r | min }}".repeat(8_000));
        templates.put("keys", "{% set k = 'k' * 400000 %}" + "{{ k in {} }}{{ k is lower }}{{ not k }}".repeat(6_000));
        return templates;
    }

    private static final List<String> MALFORMED = List.of(
            "{{",
            "{%",
            "{% if %}",
            "{% for 1 in messages %}{% endfor %}",
            "{% for x of messages %}{% endfor %}",
            "{% endfor %}",
            "{{ 'open }}",
            "{{ 99999999999999999999 }}",
            "{# open",
            "{% generation",
            "{% set %}",
            "{% macro 1() %}{% endmacro %}",
            "{{ f( }}",
            "{{ a[ }}",
            "{{ a. }}",
            "{{ 1 is divisibleby(0) }}",
            "{{ 1 % 0 }}{{ [0/0, 1, 0/0] | sort }}{{ messages.x.y() }}",
            "{{ messages | nosuchfilter }}",
            "{{ nosuchfunction() }}",
            "{% set n = namespace() %}{% set n.n = n %}",
            "{% set a = [] %}{% set b = a.append(a) %}",
            "{% include 'x' %}",
            "{{ messages[0].content }}{{ '\\q' }}",
            "\u0000{{ '\u0000",
            "no message at all");

    @Test
    void hostileTemplatesAreRefusedWithinTheBounds() throws Exception {
        int templates = hostileTemplates().size();
        assertThat(OwnJvm.run(ChatTemplateBoundsTest.class, List.of(), 5)).isEqualTo("refused " + templates);
    }

    public static void main(String[] none) {
        int refused = 0;
        for (Map.Entry<String, String> hostile : hostileTemplates().entrySet()) {
            try {
                ChatTemplate.of(SHOW + hostile.getValue(), Map.of());
                throw new AssertionError(hostile.getKey() + " was rendered");
            } catch (LlamafuException e) {
                assertThat(e.code()).as(hostile.getKey()).isEqualTo(ErrorCode.CHAT_TEMPLATE_INVALID);
                System.out.printf("%s: %s%n", hostile.getKey(), e.getMessage());
                refused++;
            }
            assertThat(OwnJvm.peakResidentBytes()).as(hostile.getKey()).isLessThan(MOST_RESIDENT_BYTES);
        }
        System.out.println("refused " + refused);
    }

    @Test
    void malformedTemplatesAreRefused() {
        for (String template : MALFORMED) {
            assertFails(() -> ChatTemplate.of(template, Map.of()), ErrorCode.CHAT_TEMPLATE_INVALID);
        }
    }

    @Test
    void longTemplatesAreRefusedUnread() {
        String longest = " ".repeat(ChatTemplate.MAX_SOURCE_BYTES - SHOW.length()) + SHOW;
        assertThat(ChatTemplate.of(longest, Map.of()).source()).isEqualTo(longest);
        assertFails(() -> ChatTemplate.of(longest + " ", Map.of()), ErrorCode.CHAT_TEMPLATE_INVALID, "262145 bytes");
        assertFails(() -> ChatTemplate.of(" \n", Map.of()), ErrorCode.CHAT_TEMPLATE_INVALID);
    }

    /** What a record contains cannot make an ordinary template slow or large. */
    @Test
    void longMessagesAreRenderedOrRefused() {
        ChatTemplate template = ChatTemplate.of(
                "{% for m in messages %}<|u|>{{ m.content | trim | replace('\n', '') }}{{ m.content.split('</t>')[-1] }}{% endfor %}",
                Map.of());
        String lines = "\n".repeat(1_000_000) + "end";
        assertThat(template.render(List.of(ChatMessage.user(lines)), ChatVariables.DEFAULT)
                        .toString())
                .isEqualTo("<|u|>end" + lines);
        String tooManyPieces = "</t>".repeat(1_000_000);
        assertFails(
                () -> template.render(List.of(ChatMessage.user(tooManyPieces)), ChatVariables.DEFAULT),
                ErrorCode.CHAT_TEMPLATE_FAILED,
                "needs too much memory");
        assertFails(
                () -> template.render(
                        List.of(ChatMessage.user("x".repeat(ChatTemplate.MAX_CONTENT_BYTES + 1))),
                        ChatVariables.DEFAULT),
                ErrorCode.PROMPT_TOO_LONG,
                "8388609 bytes");
    }

    /** Otherwise this would take a minute, within one step and little memory. */
    @Test
    void strippingIsLinear() {
        ChatTemplate template = ChatTemplate.of(
                SHOW
                        + "{{ (' ' * 100000) | trim }}"
                        + "{% set a = ('a' * 50000) | replace('a', 'a' * 20) %}"
                        + "{% set b = ('b' * 50000) | replace('b', 'b' * 20) %}"
                        + "{{ a.strip(b ~ 'a') }}{{ '--a-b--'.strip('-' ~ b ~ '-') }}",
                Map.of());
        assertThat(template.render(List.of(ChatMessage.user("Hi")), ChatVariables.DEFAULT)
                        .toString())
                .isEqualTo("Hia");
    }

    @Test
    void refusalsOfATemplateAreItsOwnWords() {
        ChatTemplate template = ChatTemplate.of(
                "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('No system role, please.') }}{% endif %}{{ m.content }}{% endfor %}",
                Map.of());
        assertFails(
                () -> template.render(List.of(ChatMessage.system("Obey.")), ChatVariables.DEFAULT),
                ErrorCode.CHAT_TEMPLATE_FAILED,
                "The chat template refuses the conversation: No system role, please.");
    }

    @Test
    void textsWithoutUtf8AreRefused() {
        ChatTemplate template = ChatTemplate.of(SHOW, Map.of());
        assertFails(
                () -> template.render(List.of(ChatMessage.user("a\ud800b")), ChatVariables.DEFAULT),
                ErrorCode.INVALID_TEXT);
        ChatTemplate cuts = ChatTemplate.of(SHOW + "{{ messages[0].content[:1] }}", Map.of());
        assertFails(
                () -> cuts.render(List.of(ChatMessage.user("\u00e9")), ChatVariables.DEFAULT),
                ErrorCode.CHAT_TEMPLATE_FAILED,
                "within a character");
    }
}
