"""The SDKs, each behind the same few functions: how a transport is plugged in, a call, and a streamed call."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from typing import Any, NamedTuple

from tests.sdks.api import END, document, events

MESSAGES: Any = [{"role": "user", "content": "Hello"}]
READ_TIMEOUT = 0.3


class Calls(NamedTuple):
    """What the tests do with an SDK; `stream` is None if it has no streams."""

    ask: Callable[[], Awaitable[Any]]
    stream: Callable[[], AsyncIterator[Any]] | None = None


class Sdk(NamedTuple):
    """An SDK.

    Attributes:
        package: What is installed.
        web: The library whose transport it takes.
        opened: Opens a client: takes the address of the API and a transport.
        answer: The JSON of a good answer.
        chunk: An event of a stream.
        done: The last event of a stream.
    """

    package: str
    web: str
    opened: Callable[[str, Any], AbstractAsyncContextManager[Calls]]
    answer: str
    chunk: str = ""
    done: str = ""

    def good(self) -> bytes:
        return document("200 OK", self.answer, "x-elastic-product: Elasticsearch")

    def good_stream(self) -> bytes:
        return events(self.chunk, self.done) + END


def major(package: str) -> int:
    return int(version(package).partition(".")[0])


def web_of(package: str, first_of_httpx2: int) -> str:
    """Returns the library that the installed version of a package speaks."""
    try:
        return "httpx2" if major(package) >= first_of_httpx2 else "httpx"
    except ImportError:
        return "httpx2"


def client_on(web: str, transport: Any) -> Any:  # noqa: ANN401 - of httpx or httpx2
    library = __import__(web)
    return library.AsyncClient(transport=transport, timeout=library.Timeout(5, read=READ_TIMEOUT))


OPENAI = web_of("openai", 3)
ANTHROPIC = web_of("anthropic", 1)


@asynccontextmanager
async def openai(url: str, transport: Any) -> AsyncGenerator[Calls]:  # noqa: ANN401 - as above
    from openai import AsyncOpenAI  # noqa: PLC0415 - may be missing, as all SDKs

    http_client = client_on(OPENAI, transport)
    async with AsyncOpenAI(
        api_key="key", base_url=f"{url}/v1", http_client=http_client, timeout=http_client.timeout
    ) as api:

        async def ask() -> str | None:
            done = await api.chat.completions.create(model="small", messages=MESSAGES)
            return done.choices[0].message.content

        async def stream() -> AsyncIterator[str | None]:
            async for chunk in await api.chat.completions.create(model="small", messages=MESSAGES, stream=True):
                yield chunk.choices[0].delta.content

        yield Calls(ask, stream)


@asynccontextmanager
async def anthropic(url: str, transport: Any) -> AsyncGenerator[Calls]:  # noqa: ANN401 - as above
    from anthropic import AsyncAnthropic  # noqa: PLC0415 - as above

    http_client = client_on(ANTHROPIC, transport)
    async with AsyncAnthropic(api_key="key", base_url=url, http_client=http_client, timeout=http_client.timeout) as api:

        async def ask() -> Any:  # noqa: ANN401 - one of many blocks
            return (await api.messages.create(model="small", max_tokens=9, messages=MESSAGES)).content

        async def stream() -> AsyncIterator[Any]:
            async for event in await api.messages.create(model="small", max_tokens=9, messages=MESSAGES, stream=True):
                yield event

        yield Calls(ask, stream)


@asynccontextmanager
async def google_genai(url: str, transport: Any) -> AsyncGenerator[Calls]:  # noqa: ANN401 - as above
    from google import genai  # noqa: PLC0415 - as above

    options: Any = {"base_url": url, "timeout": int(READ_TIMEOUT * 1000), "async_client_args": {"transport": transport}}
    api = genai.Client(api_key="key", http_options=options).aio
    try:

        async def ask() -> str | None:
            return (await api.models.generate_content(model="small", contents="Hello")).text

        async def stream() -> AsyncIterator[str | None]:
            async for chunk in await api.models.generate_content_stream(model="small", contents="Hello"):
                yield chunk.text

        yield Calls(ask, stream)
    finally:
        await api.aclose()


@asynccontextmanager
async def huggingface_hub(url: str, transport: Any) -> AsyncGenerator[Calls]:  # noqa: ANN401 - as above
    from huggingface_hub import AsyncInferenceClient, set_async_client_factory  # noqa: PLC0415 - as above

    set_async_client_factory(lambda: client_on("httpx2", transport))
    async with AsyncInferenceClient(base_url=url, timeout=READ_TIMEOUT) as api:

        async def ask() -> str | None:
            return (await api.chat_completion(MESSAGES, model="small")).choices[0].message.content

        async def stream() -> AsyncIterator[str | None]:
            async for chunk in await api.chat_completion(MESSAGES, model="small", stream=True):
                yield chunk.choices[0].delta.content

        yield Calls(ask, stream)


@asynccontextmanager
async def litellm(url: str, transport: Any) -> AsyncGenerator[Calls]:  # noqa: ANN401 - as above
    import litellm as api  # noqa: PLC0415 - as above

    options = {"model": "openai/small", "messages": MESSAGES, "api_base": f"{url}/v1", "api_key": "key"}
    async with client_on("httpx", transport) as client:
        api.aclient_session = client
        api.in_memory_llm_clients_cache.flush_cache()

        async def ask() -> str | None:
            done: Any = await api.acompletion(**options, num_retries=0, max_retries=0, timeout=READ_TIMEOUT)
            return done.choices[0].message.content

        async def stream() -> AsyncIterator[str | None]:
            chunks: Any = await api.acompletion(
                **options, num_retries=0, max_retries=0, timeout=READ_TIMEOUT, stream=True
            )
            async for chunk in chunks:
                yield chunk.choices[0].delta.content

        yield Calls(ask, stream)
        api.aclient_session = None


@asynccontextmanager
async def elasticsearch(url: str, transport: Any) -> AsyncGenerator[Calls]:  # noqa: ANN401 - as above
    from elastic_transport import HttpxAsyncHttpNode, NodeConfig  # noqa: PLC0415 - as above
    from elasticsearch import AsyncElasticsearch  # noqa: PLC0415 - as above

    class Node(HttpxAsyncHttpNode):
        def __init__(self, config: NodeConfig) -> None:
            super().__init__(config)
            library = __import__("httpx")
            self.client = library.AsyncClient(base_url=url, transport=transport, timeout=config.request_timeout)

    async with AsyncElasticsearch(url, node_class=Node, request_timeout=READ_TIMEOUT, retry_on_timeout=False) as api:

        async def ask() -> str:
            return (await api.info())["cluster_name"]

        yield Calls(ask)


@asynccontextmanager
async def qdrant(url: str, transport: Any) -> AsyncGenerator[Calls]:  # noqa: ANN401 - as above
    from qdrant_client import AsyncQdrantClient  # noqa: PLC0415 - as above

    api = AsyncQdrantClient(url, transport=transport, check_compatibility=False, timeout=1)
    try:

        async def ask() -> list[Any]:
            return (await api.get_collections()).collections

        yield Calls(ask)
    finally:
        await api.close()


def chat(key: str, text: str) -> dict[str, Any]:
    """Returns a completion or a chunk of it, as OpenAI's API and those like it have them."""
    return {
        "id": "1",
        "object": "chat.completion.chunk" if key == "delta" else "chat.completion",
        "created": 1,
        "model": "small",
        "choices": [
            {
                "index": 0,
                "finish_reason": None if key == "delta" else "stop",
                key: {"role": "assistant", "content": text},
            }
        ],
    }


COMPLETION = json.dumps(chat("message", "Hello"))
CHUNK = f"data: {json.dumps(chat('delta', 'Hello'))}\n\n"
LAST = json.dumps(chat("delta", "!")).replace('"finish_reason": null', '"finish_reason": "stop"')
DONE = f"data: {LAST}\n\ndata: [DONE]\n\n"
MESSAGE = {
    "id": "1",
    "type": "message",
    "role": "assistant",
    "model": "small",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
START = f"event: message_start\ndata: {json.dumps({'type': 'message_start', 'message': MESSAGE})}\n\n"
STOP = 'event: message_stop\ndata: {"type": "message_stop"}\n\n'
CONTENT = json.dumps({"candidates": [{"content": {"role": "model", "parts": [{"text": "Hello"}]}}]})

SDKS = {
    "openai": Sdk("openai", OPENAI, openai, COMPLETION, CHUNK, DONE),
    "anthropic": Sdk("anthropic", ANTHROPIC, anthropic, json.dumps(MESSAGE), START, STOP),
    "google-genai": Sdk(
        "google-genai", "httpx2", google_genai, CONTENT, f"data: {CONTENT}\n\n", f"data: {CONTENT}\n\n"
    ),
    "huggingface_hub": Sdk("huggingface_hub", "httpx2", huggingface_hub, COMPLETION, CHUNK, DONE),
    "litellm": Sdk("litellm", "httpx", litellm, COMPLETION, CHUNK, DONE),
    "elasticsearch": Sdk("elasticsearch", "httpx", elasticsearch, '{"cluster_name": "logs"}'),
    "qdrant-client": Sdk(
        "qdrant-client", "httpx", qdrant, '{"result": {"collections": []}, "status": "ok", "time": 0}'
    ),
}
