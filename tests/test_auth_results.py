"""What another server says it has verified: read by the grammar, and believed only where it is ours."""

import random
from time import process_time

import authres
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbound.auth.results import (
    LONGEST,
    MOST_FIELDS,
    Believed,
    Result,
    Results,
    believed,
    named,
    read_results,
    worst,
)

SEED = 20261123
FIELDS = 4_000
OURS = "mx.lab.example"
GOOD = b"Authentication-Results: mx.lab.example; dmarc=pass header.from=lab.example\r\n"
FAIL = b"Authentication-Results: mx.lab.example; dmarc=fail header.from=lab.example\r\n"
FROM_OUTSIDE = (
    b"Received: from evil.example (evil.example [192.0.2.66])\r\n"
    b"\tby mx.lab.example (Postfix) with ESMTPS id 4Xyz; Mon, 1 Jun 2026 10:00:00 +0000 (UTC)\r\n"
)
FOREIGN = (
    b"Received: from a.example by b.example with SMTP id 1; Mon, 1 Jun 2026 10:00:00 +0000\r\n"
)
REST = b"From: owner@lab.example\r\nTo: share@scans.example\r\nSubject: STATUS\r\n"
PASSED = (Result("dmarc", "pass", {"header.from": "lab.example"}),)
FAILED = (Result("dmarc", "fail", {"header.from": "lab.example"}),)


def read(text: str) -> list[tuple[str, str, dict[str, str]]] | None:
    found = read_results(text.encode())
    return found and [(one.method, one.value, dict(one.properties)) for one in found.results]


# ---------------------------------------------------------------- the grammar


@pytest.mark.parametrize(
    ("text", "results"),
    [
        ("a; none", []),
        ("a 1; none", []),
        (" a;NONE ", []),
        ("a (c); (d) none (e)", []),
        ("a;spf=pass", [("spf", "pass", {})]),
        ("A; SPF=Pass SMTP.MailFrom=X@Y.example", [("spf", "pass", {"smtp.mailfrom": "X@Y.example"})]),
        ("a; spf=pass smtp.mailfrom=y.example", [("spf", "pass", {"smtp.mailfrom": "y.example"})]),
        ('a; spf=pass smtp.mailfrom=""', [("spf", "pass", {"smtp.mailfrom": ""})]),
        ('a; x=pass smtp.y="q\\"\\\\ ;z"', [("x", "pass", {"smtp.y": 'q"\\ ;z'})]),
        ('a; x=pass smtp.y="b c"@d.example', [("x", "pass", {"smtp.y": "b c@d.example"})]),
        ("a; dkim=pass header.i=@d.example", [("dkim", "pass", {"header.i": "@d.example"})]),
        ("a; dkim=pass header.b=Ab/+c=", [("dkim", "pass", {"header.b": "Ab/+c="})]),
        ("a; iprev=pass policy.iprev=2001:db8::1", [("iprev", "pass", {"policy.iprev": "2001:db8::1"})]),
        ("a; dkim/1=pass header.d=d", [("dkim", "pass", {"header.d": "d"})]),
        ("a; dkim / 1 = pass header . d = d", [("dkim", "pass", {"header.d": "d"})]),
        ('a; dkim=fail reason="not ; good" header.d=d', [("dkim", "fail", {"header.d": "d"})]),
        ("a; dkim=fail reason = (c) bad", [("dkim", "fail", {})]),
        ("a; dkim=fail reason.x=bad", [("dkim", "fail", {"reason.x": "bad"})]),
        ("a;(x)dmarc(y)=(z)pass(w)header(v).(u)from(t)=(s)d(r)", [("dmarc", "pass", {"header.from": "d"})]),
        ("a; x=pass (a (b \\) \\( c) d) p.q=r", [("x", "pass", {"p.q": "r"})]),
        ('a; x=pass ("b" c) p.q=r', [("x", "pass", {"p.q": "r"})]),
        ("a; spf=pass smtp.mailfrom=jürgen@büro.example",
         [("spf", "pass", {"smtp.mailfrom": "jürgen@büro.example"})]),
        ("a;\r\n\tspf=pass\r\n smtp.mailfrom=b;\r\n\tdkim=none\r\n",
         [("spf", "pass", {"smtp.mailfrom": "b"}), ("dkim", "none", {})]),
        ("a; dkim=pass header.d=x; dkim=fail header.d=x",
         [("dkim", "pass", {"header.d": "x"}), ("dkim", "fail", {"header.d": "x"})]),
        # RFC 8601 2.6: of a version that we do not know nothing is known.
        ("a; dkim/2=pass header.d=d; spf=pass", [("spf", "pass", {})]),
    ],
)  # fmt: skip
def test_what_follows_the_grammar_is_read(text, results):
    assert read(text) == results


@pytest.mark.parametrize(
    ("text", "server"),
    [("mx.lab.example; none", "mx.lab.example"), ('"mx \\"1\\""; none', 'mx "1"'),
     ("(c) MX.Lab.Example. (d) 1 (e); none", "MX.Lab.Example."), ("bücher.example; none", "bücher.example")],
)  # fmt: skip
def test_the_server_is_read_as_written(text, server):
    assert read_results(text.encode()) == Results(server, ())


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ";", "a", "a;", "a 1", "a 1;", "a; ;", "a; none;", "a; none none", "a; none=",
        "a; none; spf=pass", "a; spf=pass; none", "a; spf=pass;", "a;; spf=pass", "a b; spf=pass",
        "a 2; spf=pass", "a 1 1; spf=pass", "a/1; spf=pass", "a@b; spf=pass", "a spf=pass", "a, spf=pass",
        "a; spf", "a; spf=", "a; =pass", "a; spf==pass", "a; spf pass", "a; spf=pass fail", "a; spf/=pass",
        "a; spf/x=pass", "a; spf-=pass", "a; sp_f=pass", "a; s.pf=pass", 'a; spf="pass"', "a; spf=pass-",
        "a; spf=pass x", "a; spf=pass x=y", "a; spf=pass x.y", "a; spf=pass x.y=", "a; spf=pass .y=z",
        "a; spf=pass x.=z", "a; spf=pass x.y.z=1", "a; spf=pass x.y=a b", "a; spf=pass x.y=a,b",
        "a; spf=pass x.y=<a@b>", "a; spf=pass x.y=a@", "a; spf=pass x.y=a@b@c", 'a; spf=pass x.y="a"b',
        'a; spf=pass x.y="a"z.w=b', 'a; spf=pass x.y="a"@', 'a; spf=pass x.y="a', 'a; spf=pass x.y="a\\"',
        "a; spf=pass x.y=b reason=c", "a; spf=pass reason=b reason=c", "a; spf=pass reason=", "a; (spf=pass",
        "a; spf=pass)", "a; spf=pass (", "a; spf=pass (\\)", "(a; spf=pass", "a; spf=pass \0", "a; spf=\rpass",
        "a; spf=pass\nx.y=z", "a; spf=pass (\x07)", "a; spf=pass x.y=a\\b",
    ],
)  # fmt: skip
def test_what_does_not_follow_the_grammar_is_nothing(text):
    assert read_results(text.encode()) is None


def test_bytes_that_are_no_text_are_nothing():
    assert read_results(b"a; spf=pass (\xff)") is None


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a; dmarc=pass header.from=x header.from=y", []),
        ("a; dmarc=pass header.from=x Header.From=x; spf=pass", ["spf"]),
        # What a method says once more is not left to count alone.
        ("a; dmarc=fail header.from=x header.from=x; dmarc=pass header.from=y", []),
        ("a; dkim=pass header.d=x header.d=y; dkim=pass header.d=z", ["dkim"]),
    ],
)
def test_a_result_with_a_property_twice_cannot_be_used(text, left):
    found = read_results(text.encode())
    assert found is not None
    assert [result.method for result in found.results] == left


@pytest.mark.parametrize(
    ("value", "domain"),
    [("user@Lab.Example", "lab.example"), ("lab.example.", "lab.example"), ("@lab.example", "lab.example"),
     ("a@evil.example@lab.example", "lab.example"), ("", ""), ("a@", "")],
)  # fmt: skip
def test_a_value_names_a_domain(value, domain):
    assert named(value) == domain


# ---------------------------------------------------------------- against authres


def test_random_fields_are_read_as_authres_reads_them() -> None:
    """Left out are our deliberate differences, each in the table below."""
    chance = random.Random(SEED)

    def blank(least: int = 0) -> str:
        return "".join(
            chance.choice([" ", "\t", "  ", "(c)", "(a (b) c)", "(x;y=z)", "(\\))", '("q")'])
            for _ in range(chance.randrange(least, 3))
        )

    def word() -> str:
        return chance.choice(["spf", "DKIM", "dmarc", "x-y", "auth", "Pass", "fail", "a1", "0"])

    def value() -> str:
        return chance.choice(
            [
                "x",
                "a@b.example",
                "@b.example",
                "b.example",
                "a+b=c/d@e.example",
                '"q; r=s"',
                '"\\""',
                "Ab/+=",
            ]
        )

    for _ in range(FIELDS):
        text = blank() + "Mx.Example" + blank()
        expected = []
        for _ in range(chance.randrange(1, 4)):
            method, result = word(), word()
            text += f"{blank()};{blank()}{method}{blank()}={blank()}{result}"
            if chance.random() < 0.2:
                text += f"{blank(1) or ' '}reason{blank()}={blank()}{chance.choice(['r', chr(34) + ';' + chr(34)])}"
            properties = {}
            for key in chance.sample(
                ["header.d", "smtp.mailfrom", "Policy.x-y", "body.z"], chance.randrange(3)
            ):
                kind, name = key.split(".")
                written = value()
                text += (
                    f"{blank(1) or ' '}{kind}{blank()}.{blank()}{name}{blank()}={blank()}{written}"
                )
                plain = written[1:-1].replace("\\", "") if written[0] == '"' else written
                properties[key.lower()] = plain
                if written[0] == '"':
                    break  # authres loses a quoted value that another property follows
            expected.append((method.lower(), result.lower(), properties))
        text += blank()
        assert read(text) == expected, text
        theirs = authres.FeatureContext().parse_value(text)
        assert theirs.authserv_id == "mx.example"
        assert [
            (
                one.method.lower(),
                one.result.lower(),
                {
                    f"{p.type}.{p.name}".lower(): p.value.replace("\\", "")  # it keeps these
                    for p in one.properties
                },
            )
            for one in theirs.results
        ] == expected, text


@pytest.mark.parametrize(
    ("text", "ours", "theirs"),
    [
        # A quoted string may be a server's name (RFC 8601 2.2: value).
        ('"a"; spf=pass', [("spf", "pass", {})], None),
        # authres leaves out what it does not understand behind a result; we leave out the field.
        ("a; spf=pass x=y", None, [("spf", "pass")]),
        ("a; spf=pass smtp.mailfrom=", None, [("spf", "pass")]),
        # It takes results and methods with dots and underscores.
        ("a; s.pf=pa_ss", None, [("s.pf", "pa_ss")]),
        # It keeps both of two equal properties.
        ("a; spf=pass smtp.mailfrom=a smtp.mailfrom=b", [], [("spf", "pass")]),
        # It takes any version of a method.
        ("a; dkim/7=pass", [], [("dkim", "pass")]),
        # It does not ask for a blank between properties.
        ('a; x=pass smtp.y="a"smtp.z=b', None, [("x", "pass")]),
        # A quote left open in a comment is nothing to it.
        ('a; x=pass (domain of "b) smtp.z=(")c', None, [("x", "pass")]),
    ],
)  # fmt: skip
def test_where_we_differ_from_authres_on_purpose(text, ours, theirs):
    assert read(text) == ours
    try:
        found = [
            (one.method, one.result) for one in authres.FeatureContext().parse_value(text).results
        ]
    except authres.AuthResError:
        found = None
    assert found == theirs


# ---------------------------------------------------------------- where it is believed


def check(header: bytes, results: tuple[Result, ...], forged: int = 0, server: str = OURS) -> None:
    found = believed(header + REST, server)
    assert found == Believed(results, forged)


def test_above_the_servers_own_received_it_is_believed():
    check(GOOD + FROM_OUTSIDE + FOREIGN, PASSED)


def test_right_below_the_servers_own_received_it_is_believed():
    check(FROM_OUTSIDE + GOOD + FOREIGN, PASSED)


def test_below_two_of_its_own_lines_it_is_believed():
    delivered = b"Received: from mx.lab.example by mx.lab.example with LMTP id 7 for <a@b>; Mon\r\n"
    check(b"Return-Path: <x@y>\r\nDelivered-To: z\r\n" + delivered + FROM_OUTSIDE + GOOD, PASSED)


def test_servers_own_fields_may_stand_between():
    between = b"Received-SPF: pass\r\nX-Spam: no\r\nDKIM-Filter: OpenDKIM v2\r\n"
    check(FROM_OUTSIDE + between + GOOD + FOREIGN, PASSED)


def test_what_a_server_under_another_name_wrote_on_top_is_believed():
    check(GOOD + b"Received: from x by mx1.internal with ESMTP id 1; Mon\r\n", PASSED)


def test_below_a_foreign_received_nothing_is_believed():
    check(FOREIGN + GOOD, (), 1)
    check(FROM_OUTSIDE + FOREIGN + GOOD, (), 1)
    check(FOREIGN + FROM_OUTSIDE + GOOD, (), 1)


def test_without_any_received_nothing_is_believed():
    check(GOOD, (), 1)


def test_in_the_midst_of_the_mail_nothing_is_believed():
    check(FROM_OUTSIDE + b"From: a@b.example\r\n" + GOOD, (), 1)
    check(FROM_OUTSIDE + b"DKIM-Signature: v=1; d=x\r\n" + GOOD, (), 1)
    check(FROM_OUTSIDE + b"no field at all\r\n" + GOOD, (), 1)


def test_an_interrupted_run_of_own_lines_is_no_run():
    check(FROM_OUTSIDE + b"X-Spam: no\r\n" + FROM_OUTSIDE + GOOD, (), 1)


def test_gmails_layout_is_read():
    header = (
        b"Delivered-To: owner@gmail.example\r\n"
        b"Received: by 2002:a05:6a10:1234:b0:1 with SMTP id a1csp12;\r\n        Mon, 1 Jun 2026\r\n"
        b"X-Google-Smtp-Source: AGHT+IF\r\n"
        b"X-Received: by 2002:a17:906:1 with SMTP id x;\r\n        Mon, 1 Jun 2026\r\n"
        b"ARC-Seal: i=1; a=rsa-sha256; d=google.com\r\n"
        b"ARC-Authentication-Results: i=1; mx.google.com; dmarc=pass header.from=evil.example\r\n"
        b"Return-Path: <owner@lab.example>\r\n"
        b"Received: from mail.lab.example (mail.lab.example. [192.0.2.1])\r\n"
        b"        by mx.google.com with ESMTPS id a1.2026;\r\n        Mon, 1 Jun 2026\r\n"
        b"Received-SPF: pass (google.com: domain of owner@lab.example designates 192.0.2.1)\r\n"
        b"Authentication-Results: mx.google.com;\r\n"
        b"       dkim=pass header.i=@lab.example header.s=s1 header.b=Ab/+cd01;\r\n"
        b"       spf=pass (google.com: domain of owner@lab.example designates 192.0.2.1 as permitted"
        b" sender) smtp.mailfrom=owner@lab.example;\r\n"
        b"       dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=lab.example\r\n"
    )
    passed = (
        Result(
            "dkim", "pass",
            {"header.i": "@lab.example", "header.s": "s1", "header.b": "Ab/+cd01"},
        ),
        Result("spf", "pass", {"smtp.mailfrom": "owner@lab.example"}),
        *PASSED,
    )  # fmt: skip
    check(header, passed, server="mx.google.com")
    forged = b"Authentication-Results: mx.google.com; dmarc=pass header.from=x.example\r\n"
    for below in (forged, FOREIGN + forged, FROM_OUTSIDE + forged):
        check(header + below, passed, 1, "mx.google.com")


@pytest.mark.parametrize(
    "field",
    [b"MX.LAB.EXAMPLE; dmarc=pass header.from=lab.example", b'"mx.lab.example"; dmarc=pass header.from=lab.example',
     b"mx.lab.example. 1 (v); dmarc=pass header.from=lab.example",
     b"(c)mx.lab.example;dmarc=pass header.from=lab.example"],
)  # fmt: skip
def test_our_server_is_known_in_any_writing(field):
    check(b"AUTHENTICATION-RESULTS:" + field + b"\r\n" + FROM_OUTSIDE, PASSED)
    assert believed(GOOD + FROM_OUTSIDE + REST, "Mx.Lab.Example.").results == PASSED


@pytest.mark.parametrize(
    "field",
    [b"lab.example; dmarc=pass", b"x.mx.lab.example; dmarc=pass", b"mx.lab.example.evil; dmarc=pass",
     b"(mx.lab.example); dmarc=pass", b"evil (mx.lab.example;) ; dmarc=pass", b"evil; x=y a.b=mx.lab.example",
     b"mx..lab.example; dmarc=pass", b"mx.lab.example..; dmarc=pass", b"; mx.lab.example; dmarc=pass"],
)  # fmt: skip
def test_another_server_is_neither_believed_nor_counted(field):
    check(b"Authentication-Results: " + field + b"\r\n" + FROM_OUTSIDE + GOOD, PASSED)


def test_without_a_server_that_is_ours_nothing_is_read():
    check(GOOD + FROM_OUTSIDE, (), server="")
    check(b"Authentication-Results: ; dmarc=pass\r\n" + FROM_OUTSIDE, (), server="")


# ---------------------------------------------------------------- attacks


@pytest.mark.parametrize(
    "brought",
    [
        GOOD,
        GOOD * 3,
        FOREIGN + GOOD,
        FROM_OUTSIDE + GOOD,
        b"Received: by 2002:a05::1 with SMTP id 1; Mon\r\n" + GOOD,
        b"Received: from lab.example by mx.lab.example (Postfix) with ESMTPSA id 1; Mon\r\n" + GOOD,
        b"Return-Path: <owner@lab.example>\r\n" + GOOD,
        b"X-Received: by mx.lab.example\r\n" + GOOD,
    ],
)
@pytest.mark.parametrize("above", [True, False], ids=["milter above", "milter below"])
def test_a_forged_field_below_the_servers_own_counts_for_nothing(above, brought):
    own = FAIL + FROM_OUTSIDE if above else FROM_OUTSIDE + FAIL
    check(own + brought, FAILED, brought.count(b"mx.lab.example; dmarc"))


@pytest.mark.parametrize(
    "received",
    [
        b"from mx.lab.example by evil.example with SMTP id 1",
        b"from x (by mx.lab.example) by evil.example with SMTP id 1",
        b"from x by evil.example by mx.lab.example",
        b"from x by evil.example (by mx.lab.example)",
        b"from x by mx.lab.example.evil.example with SMTP",
        b"by evil.example",
        b"by mx.lab.example (Postfix, from userid 33) id 1",
        b"(by mx.lab.example with SMTP",
        b"",
    ],
)
def test_a_received_line_that_is_not_our_servers_ends_what_it_can_have_written(received):
    check(b"Received: " + received + b"; Mon\r\n" + GOOD, (), 1)


def test_handing_over_in_the_house_is_on_top_only():
    inside = b"Received: by 2002:a05::1 with SMTP id 1; Mon\r\n"
    check(inside + FROM_OUTSIDE + GOOD, PASSED)
    check(FROM_OUTSIDE + inside + GOOD, (), 1)


def test_a_broken_field_of_ours_on_top_is_not_replaced_by_the_next():
    broken = b"Authentication-Results: mx.lab.example; dmarc=fail (\r\n"
    check(broken + FROM_OUTSIDE + GOOD, (), 2)


def test_a_field_that_only_some_programs_would_read_is_not_believed():
    spaced = GOOD.replace(b":", b" :", 1)
    check(spaced + FROM_OUTSIDE, (), 1)
    check(b" " + GOOD + FROM_OUTSIDE, (), 1)


def test_other_fields_are_no_proof():
    for name in (b"ARC-Authentication-Results", b"X-Authentication-Results", b"Received-SPF",
                 b"Authentication-Results-Original", b"Old-Authentication-Results"):  # fmt: skip
        check(GOOD.replace(b"Authentication-Results", name) + FROM_OUTSIDE, ())


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("dmarc=fail header.from=lab.example; dmarc=pass header.from=lab.example", FAILED),
        ("dmarc=pass header.from=lab.example; dmarc=fail header.from=lab.example", FAILED),
        ("dmarc=pass header.from=lab.example; dmarc=fail header.from=evil.example",
         (Result("dmarc", "fail", {"header.from": "evil.example"}),)),
        ("dmarc=pass header.from=lab.example; dmarc=pass header.from=lab.example", PASSED),
        ("dmarc=pass header.from=lab.example; dmarc=pass header.from=evil.example", ()),
        ("dmarc=pass header.from=lab.example; dmarc=bestguesspass header.from=lab.example",
         (Result("dmarc", "bestguesspass", {"header.from": "lab.example"}),)),
        ("spf=pass smtp.mailfrom=x@evil.example; spf=pass smtp.mailfrom=owner@lab.example", ()),
        ("spf=pass smtp.mailfrom=x@lab.example; spf=pass smtp.mailfrom=owner@lab.example",
         (Result("spf", "pass", {"smtp.mailfrom": "x@lab.example"}),)),
        ("dkim=pass header.d=a.example header.s=1; dkim=fail header.d=b.example",
         (Result("dkim", "pass", {"header.d": "a.example", "header.s": "1"}),
          Result("dkim", "fail", {"header.d": "b.example"}))),
        ("dkim=pass header.d=a.example header.s=1; dkim=pass header.d=a.example header.s=2",
         (Result("dkim", "pass", {"header.d": "a.example", "header.s": "1"}),)),
        ("dkim=pass header.d=a.example header.s=1; dkim=neutral header.i=x@A.example",
         (Result("dkim", "neutral", {"header.i": "x@A.example"}),)),
    ],
)  # fmt: skip
def test_a_method_counts_as_its_worst(said, left):
    field = f"Authentication-Results: mx.lab.example; {said}\r\n".encode()
    check(field + FROM_OUTSIDE, left)
    found = read_results(f"a; {said}".encode())
    assert found is not None
    assert worst(found.results) == left


def test_a_quoted_value_stays_a_value():
    field = b'Authentication-Results: mx.lab.example; spf=pass smtp.mailfrom="x;dmarc=pass header.from=lab.example"'
    check(
        field + b"\r\n" + FROM_OUTSIDE,
        (Result("spf", "pass", {"smtp.mailfrom": "x;dmarc=pass header.from=lab.example"}),),
    )


@pytest.mark.parametrize(
    "comment",
    [
        # What a server makes of MAIL FROM:<"x) dmarc=pass ..."@evil.example> if it copies it.
        '(domain of "x) smtp.mailfrom=owner@lab.example (y"@evil.example designates)',
        '(domain of "x); dmarc=pass header.from=lab.example (y"@evil.example designates)',
        '(domain of "x\\"); dmarc=pass header.from=lab.example (y"@evil.example designates)',
        '(domain of "x("@evil.example) smtp.mailfrom=x@evil.example; dmarc=fail (p=none)',
        '(domain of "x)',
    ],
)
def test_a_local_part_with_a_parenthesis_in_a_comment_spoils_the_field(comment):
    field = f"Authentication-Results: mx.lab.example; spf=pass {comment} smtp.helo=evil.example\r\n"
    check(field.encode() + FROM_OUTSIDE, (), 1)


def test_a_property_does_not_pass_over_to_the_next_method():
    assert read("a; spf=pass (x; dmarc=pass) smtp.mailfrom=e.example; dmarc=fail header.from=l.example") == [
        ("spf", "pass", {"smtp.mailfrom": "e.example"}),
        ("dmarc", "fail", {"header.from": "l.example"}),
    ]  # fmt: skip
    assert read("a; dkim=pass header.d=dmarc=pass") == [
        ("dkim", "pass", {"header.d": "dmarc=pass"})
    ]


@pytest.mark.parametrize(
    "field",
    [
        b"spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=lab.example; dkim=pass (signature was verified)"
        b" header.d=lab.example;dmarc=pass action=none header.from=lab.example;compauth=pass reason=100",
        b"dkim=none (message not signed) header.d=none;dmarc=none action=none header.from=lab.example;",
    ],
)
def test_the_field_of_microsoft_365_names_no_server_and_is_nobodys(field):
    assert read_results(field) is None
    for server in ("spf", "dkim", OURS, "outlook.com"):
        header = b"Authentication-Results: " + field + b"\r\n" + FROM_OUTSIDE
        assert believed(header, server).results == ()


# ---------------------------------------------------------------- limits


def test_nested_comments_are_bounded():
    assert read("a; x=pass " + "(" * 10 + ")" * 10) == [("x", "pass", {})]
    assert read("a; x=pass " + "(" * 11 + ")" * 11) is None


def test_a_long_field_is_not_read():
    head = "a; x=pass p.q="
    assert read(head + "y" * (LONGEST - len(head))) is not None
    assert read(head + "y" * (LONGEST - len(head) + 1)) is None
    long = GOOD.replace(b"; ", b"; " + b" " * LONGEST, 1)
    check(long + FROM_OUTSIDE + GOOD, (), 2)


def test_so_many_fields_are_looked_at():
    other = b"Authentication-Results: x.example; none\r\n"
    check(other * (MOST_FIELDS - 1) + GOOD + FROM_OUTSIDE + GOOD, PASSED)
    check(other * MOST_FIELDS + GOOD + FROM_OUTSIDE, ())
    check(GOOD + FROM_OUTSIDE + GOOD * 1000, PASSED, MOST_FIELDS - 1)


@pytest.mark.parametrize(
    "value",
    [b"(" * 10_000 + b")" * 10_000, b"a; x=pass " + b"()" * 100_000, b" " * 200_000, b"a;" * 100_000,
     b'"' * 200_000, b'"' + b"\\" * 200_000, b"\\" * 200_000, b"a; x=" + b"-" * 200_000,
     b"a; x=pass " + b"p.q=r " * 40_000, b"a 1" + b"1" * 200_000, b"(\\" * 100_000, b"a; x=y;" * 30_000],
)  # fmt: skip
def test_hostile_fields_cost_no_time(value):
    begun = process_time()
    for cut in (LONGEST, len(value)):
        read_results(value[:cut])
    header = b"Authentication-Results: mx.lab.example " + value + b"\r\nReceived: from x" + value
    believed((header + b"\r\n") * 5 + REST, OURS)
    assert process_time() - begun < 0.5


def test_many_fields_and_received_lines_cost_no_time():
    received = b"Received: " + b"(" * 5 + b"x" * 50 + b")" * 5 + b" by x\r\n"
    begun = process_time()
    believed((received + GOOD) * 20_000, OURS)
    assert process_time() - begun < 2


pieces = st.sampled_from(
    [b"mx.lab.example", b";", b" ", b"\r\n ", b"\r\n", b"dmarc=pass", b"spf=fail", b"header.from=x", b"smtp.m=",
     b'"', b"\\", b"(", b")", b"=", b".", b"/", b"1", b"none", b"reason=", b"\xff", b"\0", "é".encode(), b"@",
     b"Authentication-Results:", b"Received:", b"by ", b"from ", b"with ", b"X-Y: z"]
)  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(value=st.lists(pieces, max_size=30).map(b"".join) | st.binary(max_size=200))
def test_any_bytes_are_read_or_are_nothing(value: bytes) -> None:
    found = read_results(value)
    if found is None:
        return
    for result in found.results:
        assert result.method == result.method.lower()
        assert result.value == result.value.lower()
        assert all(key == key.lower() and "." in key for key in result.properties)


@settings(max_examples=1500, deadline=None)
@given(brought=st.lists(pieces, max_size=40).map(b"".join))
def test_nothing_that_is_brought_changes_what_our_server_said(brought: bytes) -> None:
    for own in (FAIL + FROM_OUTSIDE, FROM_OUTSIDE + FAIL):
        # A mail's first line begins no continuation of the server's field: Postfix sees to that.
        assert believed(own + b"X-First: x\r\n" + brought, OURS).results == FAILED
    assert believed(FOREIGN + brought, OURS).results == ()
