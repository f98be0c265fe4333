package io.llamafu.flink.routing;

import io.llamafu.flink.Completion;
import io.llamafu.flink.records.RecordTypeInfo;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.typeinfo.TypeInformation;

/** Carries the request without its record. */
@Internal
public final class RequestOnly<T> implements Carrier<T, RoutedRequest, Completion> {
    private static final long serialVersionUID = 1L;

    @Override
    public TypeInformation<RoutedRequest> elementType() {
        return new RecordTypeInfo<>(RoutedRequest.class);
    }

    @Override
    public RoutedRequest carry(T value, RoutedRequest request) {
        return request;
    }

    @Override
    public RoutedRequest request(RoutedRequest element) {
        return element;
    }

    @Override
    public TypeInformation<Completion> outcomeType() {
        return new RecordTypeInfo<>(Completion.class);
    }

    @Override
    public Completion outcome(RoutedRequest element, Completion completion) {
        return completion;
    }
}
