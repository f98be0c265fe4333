package io.llamafu.examples.benchmark;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** A running llama-server with the same model and the adapters in the order of their numbers. */
final class ServerCompetitor implements Competitor {
    private static final double NANOS_PER_MILLI = 1e6;

    private final ObjectMapper json = new ObjectMapper();
    private final HttpClient client =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private final URI completion;

    ServerCompetitor(URI server) {
        String base = server.toString();
        this.completion = URI.create((base.endsWith("/") ? base : base + "/") + "completion");
    }

    private record Reply(String body, long end) {}

    @Override
    public List<Times> answer(List<Query> queries) throws Exception {
        List<Long> sent = new ArrayList<>();
        List<CompletableFuture<Reply>> replies = send(queries, "", sent);
        List<Times> times = new ArrayList<>();
        for (int index = 0; index < queries.size(); index++) {
            times.add(times(sent.get(index), replies.get(index).get(), queries.get(index)));
        }
        return times;
    }

    /** Sends all queries at once and waits for the texts of the answers, which follow a grammar. */
    List<String> answers(List<Query> queries, String grammar) throws Exception {
        List<String> texts = new ArrayList<>();
        for (CompletableFuture<Reply> reply : send(queries, grammar, new ArrayList<>())) {
            texts.add(json.readTree(reply.get().body()).path("content").asText());
        }
        return texts;
    }

    /** @param sent gets the time of each request */
    private List<CompletableFuture<Reply>> send(List<Query> queries, String grammar, List<Long> sent)
            throws IOException {
        List<HttpRequest> requests = new ArrayList<>();
        for (Query query : queries) {
            requests.add(HttpRequest.newBuilder(completion)
                    .header("Content-Type", "application/json")
                    .POST(HttpRequest.BodyPublishers.ofString(body(query, grammar)))
                    .build());
        }
        List<CompletableFuture<Reply>> replies = new ArrayList<>();
        for (HttpRequest request : requests) {
            sent.add(System.nanoTime());
            replies.add(client.sendAsync(request, HttpResponse.BodyHandlers.ofString(StandardCharsets.UTF_8))
                    .thenApply(response -> reply(response, System.nanoTime())));
        }
        return replies;
    }

    private String body(Query query, String grammar) throws IOException {
        ObjectNode body = json.createObjectNode()
                .put("prompt", query.prompt())
                .put("n_predict", query.tokens())
                .put("temperature", 0)
                .put("cache_prompt", true)
                .put("stream", false);
        body.putArray("samplers").add("temperature");
        if (!grammar.isEmpty()) {
            body.put("grammar", grammar);
        }
        ArrayNode lora = body.putArray("lora");
        if (query.adapter() != NO_ADAPTER) {
            lora.addObject().put("id", query.adapter()).put("scale", 1.0);
        }
        return json.writeValueAsString(body);
    }

    private static Reply reply(HttpResponse<String> response, long end) {
        if (response.statusCode() != 200) {
            throw new IllegalStateException(
                    "%s answers %d: %s".formatted(response.uri(), response.statusCode(), response.body()));
        }
        return new Reply(response.body(), end);
    }

    private Times times(long sent, Reply reply, Query query) throws IOException {
        JsonNode answer = json.readTree(reply.body());
        int tokens = answer.path("tokens_predicted").asInt();
        if (tokens != query.tokens()) {
            throw new IllegalStateException("An answer of %s has %d tokens instead of %d; is it the same model?"
                    .formatted(completion, tokens, query.tokens()));
        }
        // From the first token to the last.
        double decodeMillis = answer.path("timings").path("predicted_ms").asDouble();
        return new Times(sent, reply.end() - (long) (decodeMillis * NANOS_PER_MILLI), reply.end());
    }

    @Override
    public void close() {
        // The server is not ours, and the client ends with the process.
    }
}
