// The drawer "what just happened": each exchange as a curl line, the rows that it left, a trace, a ladder.
import { el, button } from './dom.js';

const KEPT = 40;
const quote = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;

/** The exchange as one pastes it; a password is not shown. */
export function curl({ method, path, body }) {
	const words = ['curl'];
	if (method !== 'GET' || body !== undefined) words.push('-X', method);
	words.push(path === '/session' && method === 'POST' ? '-u "$EMAIL"' : '-H "Authorization: Bearer $TOKEN"');
	if (body instanceof Blob) words.push(`-H 'Content-Type: ${body.type}' --data-binary @message`);
	else if (typeof body === 'string') words.push(`-H 'Content-Type: text/plain' -d ${quote(body)}`);
	else if (body) words.push(`-H 'Content-Type: application/json' -d ${quote(JSON.stringify(body, (name, value) => (name === 'password' ? '…' : value)))}`);
	return [...words, quote(location.origin + path)].join(' ');
}

/** Where an operator sees what it has left. */
export function select({ path, content }, email) {
	const [, kind, whose, part] = path.split('?')[0].split('/').map(decodeURIComponent);
	const who = quote(!whose || whose === 'me' ? email : whose).replaceAll("'\\''", "''");
	if (kind === 'login' && part === 'messages') return `select * from inspect.send where recipient = ${who}${content?.id ? ` and n = ${content.id}` : ''}`;
	if (kind === 'login') return `select * from inspect.login where email = ${who}`;
	if (kind === 'call') return `select * from inspect.participant where call = ${whose || content?.id}`;
	if (kind === 'user' && part === 'messages') return `select * from inspect.message where owner = ${who}`;
	if (kind === 'user' && part === 'credential') return `select * from inspect.credential where email = ${who}`;
	if (kind === 'user' && whose) return `select * from inspect.account where email = ${who}`;
	return null;
}

export class Drawer {
	constructor(phone) {
		this.phone = phone;
		this.list = el('ol', { className: 'told' });
		this.shown = el('pre', { hidden: true, tabIndex: 0, 'aria-label': 'Trace' });
		this.element = el('aside', { className: 'drawer', hidden: true, 'aria-label': `What just happened to ${phone.email}` },
			el('header', {}, el('h2', {}, 'What just happened'), button('×', () => this.toggle(false), { 'aria-label': 'Close' })), this.shown, this.list);
		phone.api.told = (exchange) => this.#add(exchange);
	}

	toggle(on = this.element.hidden) {
		this.element.hidden = !on;
	}

	#add(exchange) {
		const { method, path, status } = exchange;
		const line = curl(exchange);
		const sql = status < 300 && select(exchange, this.phone.api.email);
		const copy = (text) => button('Copy', () => navigator.clipboard.writeText(text), { className: 'quiet' });
		this.list.prepend(el('li', {}, el('details', {}, el('summary', { className: status < 400 ? '' : 'bad' }, `${method} ${decodeURIComponent(path)}`, el('b', {}, ` ${status}`)),
			el('pre', {}, line), copy(line), sql && el('pre', {}, sql), sql && copy(sql),
			exchange.content && !(exchange.content instanceof Blob) && el('pre', { className: 'answer' }, this.#text(exchange.content)))));
		while (this.list.children.length > KEPT) this.list.lastChild.remove();
	}

	#text(content) {
		return typeof content === 'string' ? content
			: JSON.stringify(content, (name, value) => (name === 'token' || name === 'password' || name === 'credential' ? '…' : value), 1).slice(0, 2000);
	}

	/** A message's trace, or a call's ladder. */
	trace(path) {
		return this.phone.attempt(async () => {
			const isCall = path.startsWith('/call/');
			const text = await this.phone.api.request('GET', path, undefined, isCall ? { headers: { Accept: 'text/plain' } } : {});
			this.shown.hidden = false;
			this.shown.textContent = (typeof text === 'string' ? text : JSON.stringify(text, null, 1)) || 'Only pages are in this call: no SIP was spoken.';
			this.toggle(true);
			this.shown.focus();
		});
	}
}
